/** The parts of STAC documents that the page reads. */
import { address, askJson, Problem } from "./http";

export interface StacLink {
  rel: string;
  href: string;
  title?: string;
  "cup4soil:role"?: string;
}

export interface StacBand {
  name: string;
  description?: string;
  unit?: string;
  "eo:common_name"?: string;
  "eo:center_wavelength"?: number;
  "raster:scale"?: number;
  "raster:offset"?: number;
  /** Of the stored integers. */
  statistics?: { minimum: number; maximum: number; mean: number; stddev: number };
}

export interface StacAsset {
  href: string;
  type?: string;
  title?: string;
  description?: string;
  roles?: string[];
  bands?: StacBand[];
  "classification:classes"?: { value: number; name: string; title?: string; nodata?: boolean }[];
}

export interface StacItem {
  id: string;
  collection: string;
  bbox: number[];
  properties: Record<string, unknown>;
  links: StacLink[];
  assets: Record<string, StacAsset>;
}

export interface StacCollection {
  id: string;
  title?: string;
  summaries?: Record<string, unknown[]>;
  links: StacLink[];
}

/** A document with the address it came from, which its links are relative to. */
export interface Fetched<T> {
  url: string;
  body: T;
}

/** Items of one collection that the page reads; a larger collection is for the STAC API. */
export const MOST_ITEMS = 200;
const AT_ONCE = 6;

/** All collections of the static catalog beside the page. */
export async function fetchCollections(): Promise<Fetched<StacCollection>[]> {
  const url = address("catalog/catalog.json");
  const catalog = await askJson<{ links: StacLink[] }>(url);
  return fetchAll<StacCollection>(childrenOf({ url, body: catalog }, "child"));
}

/** Items of a collection, the newest ``MOST_ITEMS`` of them, and whether there are more. */
export async function fetchItems(
  collection: Fetched<StacCollection>,
): Promise<{ items: Fetched<StacItem>[]; more: boolean }> {
  const urls = childrenOf(collection, "item");
  // A large collection has pages instead, by year: the newest come last.
  const pages = childrenOf(collection, "child");
  while (urls.length < MOST_ITEMS && pages.length > 0) {
    const url = pages.pop()!;
    const page = { url, body: await askJson<{ links: StacLink[] }>(url) };
    urls.unshift(...childrenOf(page, "item"));
  }
  const more = urls.length > MOST_ITEMS || pages.length > 0;
  return { items: await fetchAll<StacItem>(urls.slice(-MOST_ITEMS)), more };
}

/** Address of a link or asset of a document; only of the web. */
export function resolve(base: string, href: string): string {
  const url = new URL(href, base);
  if (url.protocol !== "http:" && url.protocol !== "https:") throw new Problem(`The catalog names ${url.protocol} files.`);
  return url.href;
}

function childrenOf(document: Fetched<{ links: StacLink[] }>, rel: string): string[] {
  return document.body.links.filter((each) => each.rel === rel).map((each) => resolve(document.url, each.href));
}

async function fetchAll<T>(urls: string[]): Promise<Fetched<T>[]> {
  const found = new Array<Fetched<T>>(urls.length);
  let next = 0;
  const take = async (): Promise<void> => {
    while (next < urls.length) {
      const index = next++;
      found[index] = { url: urls[index], body: await askJson<T>(urls[index]) };
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, take));
  return found;
}
