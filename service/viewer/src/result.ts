/** A prediction's result: figures of the area in plain words, and the map as a product to look at. */
import { el, facts, link } from "./dom";
import { grouped, hectares, rounded, unitSuffix, within } from "./format";
import { Cog } from "./cog";
import type { PredictionResult } from "./prediction";
import { address } from "./http";
import { citation, type Product, type Raster } from "./products";

/** The bands of a prediction's file, in order; their units but for those that have the property's. */
const BANDS: [string, string | null][] = [
  ["mean", null], ["q05", null], ["q50", null], ["q95", null],
  ["uncertainty", "1"], ["pi90", null], ["aoa", "1"], ["di", "1"],
];

const SPREAD =
  "These figures tell how places within the area differ from each other. How sure the mean of the whole area is, they do not tell.";

/** Figures and links of a result. */
export function resultView(result: PredictionResult, title: string): HTMLElement[] {
  const files = [el("li", {}, link(ofThisService(result.map.href), "Map with all layers (GeoTIFF)"))];
  if (result.preview) files.push(el("li", {}, link(ofThisService(result.preview.href), "Picture of the mean (PNG)")));
  return [
    el("h3", {}, `${title} in your area`),
    statistics(result.statistics ?? {}),
    el("ul", {}, ...files),
    ...explanation(result),
  ];
}

/** The result as a product; ``bbox`` is that of the area in degrees. */
export async function resultProduct(
  result: PredictionResult,
  inputs: { property: string; depth?: string; bbox: number[] },
  title: string,
): Promise<Product> {
  const url = ofThisService(result.map.href);
  const file = await Cog.open(url);
  const unit = String(result.statistics?.unit ?? "1");
  const bands = BANDS.map(([name, own], index) => ({ name, index, unit: own ?? unit, description: "" }));
  const raster: Raster = { key: "map", title, description: "", url, bands, classes: [] };
  const origin = result.provenance ?? {};
  const now = new Date().toISOString();
  return {
    id: "prediction",
    collection: "",
    kind: "soil-map",
    title: `${title}, predicted for your area`,
    description: "",
    property: inputs.property,
    depth: inputs.depth,
    start: now,
    end: now,
    created: now,
    simulated: origin.simulated === true,
    unskilled: origin.verdict === "no-skill",
    crs: file.crs,
    bbox: inputs.bbox,
    grid: file.bounds,
    rasters: new Map([[raster.key, raster]]),
    licence: textOf(origin.licence),
    attribution: textOf(origin.attribution),
    limitations: Array.isArray(origin.limitations) ? origin.limitations.map(String) : [],
    links: [{ href: url, text: "GeoTIFF file" }],
    references: Array.isArray(origin.references) ? origin.references.map((each) => citation(String(each))) : [],
    modelUrl: modelOf(origin),
    result: true,
  };
}

function statistics(values: Record<string, unknown>): HTMLElement {
  const number = (name: string) => (typeof values[name] === "number" ? (values[name] as number) : null);
  const unit = unitSuffix(String(values.unit ?? ""));
  const rows: [string, string][] = [];
  const add = (name: string, text: string, format: (value: number) => string) => {
    const value = number(name);
    if (value !== null) rows.push([text, format(value)]);
  };
  add("area_ha", "Area with a prediction", hectares);
  const [mapped, asked] = [number("mapped_cells"), number("cells")];
  if (mapped !== null && asked !== null) rows.push(["Cells with a prediction", `${grouped(mapped)} of ${grouped(asked)}`]);
  add("mean", "Mean of the area", (value) => rounded(value) + unit);
  add("median", "Median of the area", (value) => rounded(value) + unit);
  const [low, high] = [number("q05"), number("q95")];
  if (low !== null && high !== null) {
    rows.push(["Nine tenths of the area lie between", `${within(low, high - low)} and ${within(high, high - low)}${unit}`]);
  }
  add("mean_interval_width", "Mean width of a cell's 90 % interval", (value) => rounded(value) + unit);
  add("inside_percent", "Share where the model applies", (value) => `${rounded(value)} %`);
  add("mean_inside", "Mean where the model applies", (value) => rounded(value) + unit);
  const inside = number("inside_percent");
  const warning = inside !== null && inside < 50 ? "The model does not apply to most of this area: do not rely on these figures." : null;
  const spread = low !== null && el("p", { class: "note" }, SPREAD);
  return el("div", {}, warning && el("p", { class: "verdict outside" }, warning), facts(rows), spread);
}

/** Where the result comes from, and what the process itself says of its figures. */
function explanation({ provenance: origin = {}, statistics: figures = {} }: PredictionResult): HTMLElement[] {
  const rows: [string, string][] = [];
  for (const [name, text] of [["model", "Model"], ["covariates", "Covariates"], ["licence", "Licence"], ["attribution", "Attribution"]]) {
    if (textOf(origin[name])) rows.push([text, textOf(origin[name])]);
  }
  const notes = Array.isArray(figures.notes) ? figures.notes.map((each) => el("p", { class: "note" }, String(each))) : [];
  if (rows.length + notes.length === 0) return [];
  return [el("details", {}, el("summary", {}, "Where it comes from, and what the figures mean"), facts(rows), ...notes)];
}

/** Address of the item of the model, which the catalog beside the page has. */
function modelOf(origin: Record<string, unknown>): string | undefined {
  const { collection, id } = (origin.model ?? {}) as { collection?: unknown; id?: unknown };
  if (typeof collection !== "string" || typeof id !== "string") return undefined;
  const folder = [collection, id].map(encodeURIComponent).join("/");
  return address(`catalog/${folder}/${encodeURIComponent(id)}.json`);
}

function textOf(value: unknown): string {
  if (Array.isArray(value)) return value.map(textOf).filter(Boolean).join("; ");
  if (typeof value === "object" && value !== null) {
    const { title, id } = value as { title?: unknown; id?: unknown };
    return textOf(title) || textOf(id);
  }
  return typeof value === "string" ? value : "";
}

/** An address of this service; behind a proxy the service may know itself by another name. */
function ofThisService(href: string): string {
  const url = new URL(href, document.baseURI);
  return new URL(url.pathname + url.search, location.origin).href;
}
