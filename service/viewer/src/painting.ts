/** WebGL styles: from stored integers to colours. */
import GeoTIFF from "ol/source/GeoTIFF";
import WebGLTileLayer, { type Style } from "ol/layer/WebGLTile";
import { Cog, type Scaling } from "./cog";
import { classColour, ramp, rgb } from "./palettes";
import type { Product, Raster } from "./products";
import { bandOf, type Range, type View } from "./views";

const TRANSPARENT = [0, 0, 0, 0];
/** Colour of the veil over cells where the model does not apply. */
export const VEIL = [238, 236, 230, 0.8];

type Colour = number[];
type Expression = (string | number | Colour | Expression)[];

/** A layer that draws one view of one product. */
export async function viewLayer(product: Product, view: View, ranges: (Range | null)[]): Promise<WebGLTileLayer> {
  const raster = product.rasters.get(view.raster)!;
  return rasterLayer(raster, view.bands, product.crs, await paint(raster, view, ranges));
}

/** A layer that veils the cells outside the area of applicability; null for a product without one. */
export async function veilLayer(product: Product): Promise<WebGLTileLayer | null> {
  const found = bandOf(product, "aoa");
  if (found === null) return null;
  const colour: Expression = ["case", ["all", present(1), ["==", ["band", 1], 0]], VEIL, TRANSPARENT];
  return rasterLayer(found.raster, [found.band.index], product.crs, colour);
}

async function rasterLayer(raster: Raster, bands: number[], crs: string, colour: Expression): Promise<WebGLTileLayer> {
  // Given here, as the source itself would find the value for the first bands only.
  const nodata = (await Cog.open(raster.url)).nodata ?? Number.NaN;
  const source = new GeoTIFF({
    sources: [{ url: raster.url, bands: bands.map((band) => band + 1), nodata }],
    projection: crs,
    // Stored integers, each cell as it is: colours and values must agree.
    normalize: false,
    interpolate: false,
    transition: 0,
  });
  return new WebGLTileLayer({ source, style: { color: colour } as Style });
}

async function paint(raster: Raster, view: View, ranges: (Range | null)[]): Promise<Expression> {
  if (view.draw === "classes") return classes(raster, view);
  const cog = await Cog.open(raster.url);
  const scalings = view.bands.map((band) => cog.scaling(band));
  const stored = ranges.map((range, index) => toStored(range ?? [0, 1], scalings[index]));
  const colour = view.draw === "rgb" ? picture(stored) : graded(stored[0], view);
  return ["case", present(view.bands.length), colour, TRANSPARENT];
}

/** Whether the cell has data: the source adds a band behind the others that is 0 where it has none. */
function present(bands: number): Expression {
  return [">", ["band", bands + 1], 0];
}

function graded([low, high]: Range, view: View): Expression {
  const colours = ramp(view.ramp);
  const stops = colours.flatMap((colour, index) => [low + ((high - low) * index) / (colours.length - 1), colour]);
  return ["interpolate", ["linear"], ["band", 1], ...stops];
}

function picture(ranges: Range[]): Expression {
  const parts = ranges.map(([low, high], index): Expression => [
    "clamp", ["/", ["-", ["band", index + 1], low], high - low], 0, 1,
  ]);
  return ["array", ...parts, 1];
}

function classes(raster: Raster, view: View): Expression {
  const known = classesOf(raster, view.key);
  const cases = known.flatMap(({ value, colour }): Expression => [["==", ["band", 1], value], [...rgb(colour), 1]]);
  return ["case", ["!", present(1)], TRANSPARENT, ...cases, TRANSPARENT];
}

/** Classes of a layer with their colours; those of the area of applicability are known without a list. */
export function classesOf(raster: Raster, key: string): { value: number; title: string; colour: string }[] {
  const listed = raster.classes.length ? raster.classes : [{ value: 1, title: "inside" }, { value: 0, title: "outside" }];
  return listed.map((each, position) => ({ ...each, colour: classColour(key, each.value, position) }));
}

/** A range with some width, in the file's integers, from low to high. */
function toStored([low, high]: Range, { scale, offset }: Scaling): Range {
  const span: Range = [(low - offset) / scale, (high - offset) / scale];
  return span[1] > span[0] ? span : [span[0], span[0] + 1];
}
