/** A part of a product as a GeoTIFF file, by OGC API Coverages. */
import type { Extent } from "ol/extent";
import { coveringExtent, ogcBbox } from "./crs";
import { address, ask } from "./http";
import type { Product } from "./products";
import type { View } from "./views";

/** A value goes with its interval and with where the model applies. */
const MAP_FIELDS = ["mean", "q05", "q50", "q95", "aoa"];

/** Address of the coverage that covers ``extent``, given in ``crs``. */
export function coverageUrl(product: Product, view: View, extent: Extent, crs: string): string {
  const { bbox, crs: bboxCrs } = ogcBbox(coveringExtent(extent, crs, product.crs), product.crs);
  const query = new URLSearchParams({
    bbox,
    "bbox-crs": bboxCrs,
    properties: fieldsOf(product, view).join(","),
    datetime: product.start === product.end ? product.start : `${product.start}/${product.end}`,
    f: "GTiff",
  });
  return address(`ogc/collections/${encodeURIComponent(product.collection)}/coverage?${query}`);
}

/** Fetch a file and hand it to the browser to save. */
export async function save(url: string, name: string): Promise<void> {
  const blob = await (await ask(url)).blob();
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // Browsers begin to save after the click; the memory is given back when they surely have.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function fieldsOf(product: Product, view: View): string[] {
  const names = [...product.rasters.values()].flatMap((raster) => raster.bands.map((band) => band.name));
  if (product.kind === "soil-map") return MAP_FIELDS.filter((name) => names.includes(name));
  return product.rasters.get(view.raster)!.bands.map((band) => band.name);
}
