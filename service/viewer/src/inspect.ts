/** What the products say of one place. */
import { transform } from "ol/proj";
import { Cog, type Cell } from "./cog";
import { useCrs } from "./crs";
import type { Product, Raster } from "./products";

export interface Reading {
  product: Product;
  /** Coordinate in the product's system. */
  x: number;
  y: number;
  outline: number[][];
  /** Values by the name of the band; null where there are none. */
  values: Map<string, number | null>;
  /** Step between stored values, by the name of the band. */
  steps: Map<string, number>;
}

/** Rasters that are read: spectra come from SRC and its confidence interval; the others would not be shown. */
const COMPOSITE_RASTERS = ["SRC", "SRC-CI95", "SFREQ", "MASK"];

/**
 * Read the cell of ``coordinate`` (in ``crs``) from the newest product that has values there.
 *
 * Without a value anywhere, the reading is that of the newest product which covers the place, with
 * nulls; null outside all products.
 */
export async function readPlace(products: Product[], coordinate: number[], crs: string): Promise<Reading | null> {
  let covered: Reading | null = null;
  for (const product of products.toReversed()) {
    const reading = await readProduct(product, coordinate, crs);
    if (reading === null) continue;
    if ([...reading.values.values()].some((value) => value !== null)) return reading;
    covered ??= reading;
  }
  return covered;
}

async function readProduct(product: Product, coordinate: number[], crs: string): Promise<Reading | null> {
  useCrs(product.crs);
  const [x, y] = transform(coordinate, crs, product.crs);
  const rasters = [...product.rasters.values()].filter(
    (each) => product.kind === "soil-map" || COMPOSITE_RASTERS.includes(each.key),
  );
  const cells = await Promise.all(rasters.map(async (raster) => (await Cog.open(raster.url)).cell(x, y)));
  const outline = cells.find((cell) => cell !== null)?.outline;
  if (!outline) return null;
  const reading: Reading = { product, x, y, outline, values: new Map(), steps: new Map() };
  await Promise.all(rasters.map((raster, index) => note(reading, raster, cells[index])));
  return reading;
}

async function note(reading: Reading, raster: Raster, cell: Cell | null): Promise<void> {
  const cog = await Cog.open(raster.url);
  for (const band of raster.bands) {
    reading.values.set(band.name, cell?.values[band.index] ?? null);
    reading.steps.set(band.name, cog.scaling(band.index).scale);
  }
}
