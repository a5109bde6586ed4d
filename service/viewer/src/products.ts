/** Products as the page shows them: items of the catalog, and results of predictions. */
import { periodText } from "./format";
import { resolve, type Fetched, type StacAsset, type StacBand, type StacItem } from "./stac";

export interface Band {
  name: string;
  /** Position in the file, counted from 0. */
  index: number;
  unit: string;
  description: string;
  commonName?: string;
  wavelengthUm?: number;
  /** Of the values in the unit. */
  statistics?: { minimum: number; maximum: number; mean: number; stddev: number };
}

export interface ClassInfo {
  value: number;
  title: string;
}

export interface Raster {
  key: string;
  title: string;
  description: string;
  url: string;
  bands: Band[];
  classes: ClassInfo[];
}

export interface Link {
  href: string;
  text: string;
}

export interface Product {
  id: string;
  collection: string;
  kind: "soil-map" | "composite";
  title: string;
  description: string;
  property?: string;
  depth?: string;
  start: string;
  end: string;
  created: string;
  simulated: boolean;
  /** Validation showed no skill: the map may be no better than the mean of all samples. */
  unskilled: boolean;
  crs: string;
  /** West, south, east, north in degrees. */
  bbox: number[];
  /** The same of the grid, in the product's own system. */
  grid?: number[];
  rasters: Map<string, Raster>;
  licence: string;
  attribution: string;
  limitations: string[];
  links: Link[];
  references: Link[];
  modelUrl?: string;
  /** Whether it is the result of a prediction run from this page, not an item of the catalog. */
  result: boolean;
}

/** Products of one collection and period: the tiles of one map. The newest stands last. */
export interface Mosaic {
  key: string;
  label: string;
  products: Product[];
}

/** An item as a product; null for what is no map (models, samples). */
export function productOf({ url, body }: Fetched<StacItem>): Product | null {
  const text = (name: string) => (typeof body.properties[name] === "string" ? (body.properties[name] as string) : "");
  const kind = text("cup4soil:kind");
  if (kind !== "soil-map" && kind !== "composite") return null;
  const start = text("start_datetime") || text("datetime");
  return {
    id: body.id,
    collection: body.collection,
    kind,
    title: text("title") || body.id,
    description: text("description"),
    property: text("cup4soil:property") || undefined,
    depth: text("cup4soil:depth") || undefined,
    start,
    end: text("end_datetime") || start,
    created: text("created"),
    simulated: body.properties["cup4soil:simulated"] === true,
    unskilled: body.properties["cup4soil:verdict"] === "no-skill",
    crs: text("proj:code"),
    bbox: body.bbox,
    grid: numbers(body.properties["proj:bbox"]),
    rasters: rastersOf(url, body.assets),
    licence: text("license"),
    attribution: text("attribution"),
    limitations: texts(body.properties["cup4soil:limitations"]),
    links: linksOf(url, body),
    references: referencesOf(body),
    modelUrl: modelOf(url, body),
    result: false,
  };
}

/** Products by period, the latest first. */
export function mosaicsOf(products: Product[]): Mosaic[] {
  const groups = new Map<string, Product[]>();
  for (const product of [...products].sort((a, b) => a.created.localeCompare(b.created))) {
    const key = `${product.start}/${product.end}`;
    groups.set(key, [...(groups.get(key) ?? []), product]);
  }
  return [...groups]
    .map(([key, members]) => ({ key, label: labelOf(members), products: members }))
    .sort((a, b) => b.products[0].end.localeCompare(a.products[0].end));
}

function labelOf(products: Product[]): string {
  const period = periodText(products[0].start, products[0].end);
  return products.length > 1 ? `${period} (${products.length} tiles)` : period;
}

function rastersOf(url: string, assets: Record<string, StacAsset>): Map<string, Raster> {
  const rasters = new Map<string, Raster>();
  for (const [key, asset] of Object.entries(assets)) {
    if (!asset.type?.startsWith("image/tiff") || !asset.bands?.length) continue;
    rasters.set(key, {
      key,
      title: asset.title ?? key,
      description: asset.description ?? "",
      url: resolve(url, asset.href),
      bands: asset.bands.map((band, index) => ({
        name: band.name,
        index,
        unit: band.unit ?? "1",
        description: band.description ?? "",
        commonName: band["eo:common_name"],
        wavelengthUm: band["eo:center_wavelength"],
        statistics: statisticsOf(band),
      })),
      classes: (asset["classification:classes"] ?? [])
        .filter((each) => !each.nodata)
        .map((each) => ({ value: each.value, title: each.title ?? each.name })),
    });
  }
  return rasters;
}

function statisticsOf({ statistics, "raster:scale": scale = 1, "raster:offset": offset = 0 }: StacBand): Band["statistics"] {
  if (!statistics) return undefined;
  const value = (stored: number) => stored * scale + offset;
  const { minimum, maximum, mean, stddev } = statistics;
  return { minimum: value(minimum), maximum: value(maximum), mean: value(mean), stddev: stddev * scale };
}

function linksOf(url: string, item: StacItem): Link[] {
  const links: Link[] = [];
  const asset = (key: string, text: string) => {
    if (item.assets[key]) links.push({ href: resolve(url, item.assets[key].href), text });
  };
  // Results of a process lie elsewhere, and have no page.
  const own = /\/catalog\/([^/]+)\/([^/]+)\/[^/]+\.json$/.exec(url);
  if (own) links.push({ href: new URL(`products/${own[1]}/${own[2]}`, document.baseURI).href, text: "All about this product" });
  asset("method", "How this map was made");
  links.push({ href: url, text: "STAC item" });
  asset("metadata", "ISO 19115 metadata record");
  asset("lineage", "Lineage: what it was made from");
  return links;
}

function modelOf(url: string, item: StacItem): string | undefined {
  const found = item.links.find((each) => each.rel === "derived_from" && each["cup4soil:role"] === "model");
  return found ? resolve(url, found.href) : undefined;
}

function referencesOf(item: StacItem): Link[] {
  const publications = item.properties["sci:publications"];
  if (!Array.isArray(publications)) return [];
  return publications.map((each: { citation?: string; doi?: string }) =>
    citation(each.citation ?? "", each.doi && `https://doi.org/${each.doi}`),
  );
}

/** A citation, with the address of its DOI, which many give at their end. */
export function citation(text: string, address?: string): Link {
  const found = /\s*(https:\/\/doi\.org\/\S+?)\.?$/.exec(text);
  return { href: address ?? found?.[1] ?? "", text: found ? text.slice(0, found.index) : text };
}

function numbers(value: unknown): number[] | undefined {
  return Array.isArray(value) && value.length === 4 && value.every((each) => typeof each === "number") ? value : undefined;
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((each): each is string => typeof each === "string") : [];
}
