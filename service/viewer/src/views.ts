/** Views: the ways in which a product can be drawn, and the range of values that a view's colours span. */
import { Cog } from "./cog";
import type { Band, Product, Raster } from "./products";
import type { RampName } from "./palettes";

export interface View {
  key: string;
  title: string;
  /** The raster's key, and the bands drawn: one, or red, green and blue. */
  raster: string;
  bands: number[];
  draw: "ramp" | "classes" | "rgb";
  ramp: RampName;
  unit: string;
  explanation: string;
}

export type Range = [number, number];

/**
 * Layers that are drawn on one scale, so that they can be compared by colour: from the low end of the
 * quantile below to the high end of the mean. The quantile above would stretch it until the mean shows little.
 */
const COMMON_SCALE = ["q05", "mean"];
const ON_COMMON_SCALE = [...COMMON_SCALE, "q50", "q95"];
const TITLES: Record<string, string> = {
  mean: "Mean",
  q50: "Median",
  q05: "Lower end of the 90 % interval (q05)",
  q95: "Upper end of the 90 % interval (q95)",
  pi90: "Uncertainty: width of the 90 % interval",
  uncertainty: "Uncertainty: relative to the median",
  aoa: "Where the model applies",
  di: "Dissimilarity to the training samples",
};
const RAMP_OF: Record<string, RampName> = {
  pi90: "uncertainty",
  uncertainty: "uncertainty",
  di: "dissimilarity",
  BSF: "frequency",
  BSC: "frequency",
};
const COMPOSITE_BANDS = ["BSF", "BSC", "MASK"];

/** What can be drawn of a product, the usual one first. */
export function viewsOf(product: Product): View[] {
  return product.kind === "composite" ? compositeViews(product) : mapViews(product);
}

/** The raster and band of a layer by its name: a file of its own, or a band of one. */
export function bandOf(product: Product, name: string): { raster: Raster; band: Band } | null {
  for (const raster of product.rasters.values()) {
    const band = raster.bands.find((each) => each.name === name);
    if (band) return { raster, band };
  }
  return null;
}

/** The range that the colours span, over all products shown; null where there is nothing to show. */
export async function rangeOf(products: Product[], view: View): Promise<Range | null> {
  const names = ON_COMMON_SCALE.includes(view.key) ? COMMON_SCALE : [view.key];
  const found = await Promise.all(
    products.flatMap((product) => names.map((name) => bandOf(product, name))).map((each) => each && bandRange(each)),
  );
  return spanOf(found);
}

/**
 * The stretch of the three bands of a picture, by 2 to 98 % of the cells of each in false colour; from 0
 * to the highest of them in natural colour, so that colours stay true to each other.
 */
export async function stretchOf(products: Product[], view: View): Promise<(Range | null)[]> {
  const own = await bandStretches(products, view);
  const span = spanOf(own);
  return view.key === "swir" || span === null ? own : own.map(() => [0, span[1]]);
}

async function bandStretches(products: Product[], view: View): Promise<(Range | null)[]> {
  return Promise.all(
    view.bands.map(async (band) =>
      spanOf(
        await Promise.all(
          products.map(async (product) => (await Cog.open(product.rasters.get(view.raster)!.url)).quantiles(band, 0.02, 0.98)),
        ),
      ),
    ),
  );
}

function mapViews(product: Product): View[] {
  const order = Object.keys(TITLES);
  const place = (name: string) => (order.includes(name) ? order.indexOf(name) : order.length);
  return [...product.rasters.values()]
    .flatMap((raster) => raster.bands.map((band) => bandView(raster, band)))
    .sort((a, b) => place(a.key) - place(b.key));
}

function compositeViews(product: Product): View[] {
  const views: View[] = [];
  const picture = (raster: string, key: string, title: string, names: string[], explanation: string) => {
    const bands = names.map((name) => product.rasters.get(raster)?.bands.find((each) => each.commonName === name)?.index);
    if (bands.every((each): each is number => each !== undefined)) {
      views.push({ key, title, raster, bands, draw: "rgb", ramp: "value", unit: "1", explanation });
    }
  };
  picture("SRC", "true-colour", "Bare soil, natural colour", ["red", "green", "blue"], "Red, green and blue (B04, B03, B02).");
  picture("SRC", "swir", "Bare soil, short-wave infrared", ["swir22", "nir08", "red"], "Short-wave infrared as red, near infrared as green, red as blue (B12, B8A, B04).");
  picture("MREF", "surface", "All surfaces, natural colour", ["red", "green", "blue"], "Mean of all valid observations (B04, B03, B02).");
  for (const name of COMPOSITE_BANDS) {
    const found = bandOf(product, name);
    if (found) views.push(bandView(found.raster, found.band));
  }
  return views;
}

function bandView(raster: Raster, band: Band): View {
  const several = raster.bands.length > 1;
  const named: Record<string, string> = { BSF: "Bare-soil frequency", BSC: "Number of bare-soil observations" };
  return {
    key: band.name,
    title: TITLES[band.name] ?? named[band.name] ?? (several ? band.description || band.name : raster.title),
    raster: raster.key,
    bands: [band.index],
    draw: raster.classes.length > 0 || band.name === "aoa" ? "classes" : "ramp",
    ramp: RAMP_OF[band.name] ?? "value",
    unit: band.unit,
    explanation: several ? band.description : raster.description,
  };
}

/** The middle 95 % or so by the catalog's statistics, else 2 to 98 % of the cells of a coarse view. */
async function bandRange({ raster, band }: { raster: Raster; band: Band }): Promise<Range | null> {
  const known = band.statistics;
  if (known) {
    return [Math.max(known.minimum, known.mean - 2 * known.stddev), Math.min(known.maximum, known.mean + 2 * known.stddev)];
  }
  return (await Cog.open(raster.url)).quantiles(band.index, 0.02, 0.98);
}

function spanOf(ranges: (Range | null)[]): Range | null {
  const known = ranges.filter((each): each is Range => each !== null);
  if (known.length === 0) return null;
  return [Math.min(...known.map(([low]) => low)), Math.max(...known.map(([, high]) => high))];
}
