/** The map beneath: land and borders by Natural Earth. */
import VectorLayer from "ol/layer/Vector";
import VectorSource from "ol/source/Vector";
import TopoJSON from "ol/format/TopoJSON";
import Feature from "ol/Feature";
import MultiPolygon from "ol/geom/MultiPolygon";
import type Polygon from "ol/geom/Polygon";
import type { Extent } from "ol/extent";
import { Fill, Stroke, Style } from "ol/style";
import countriesUrl from "world-atlas/countries-50m.json?url";
import { askJson } from "./http";

const LAND = new Style({
  fill: new Fill({ color: "#f3f1ec" }),
  stroke: new Stroke({ color: "#c2bdb1", width: 1 }),
});

/** The countries in degrees. */
let countries: Promise<Feature[]> | null = null;

/** A layer for the land within a part of the world, filled when the outlines have come. */
export function landLayer(): VectorLayer {
  return new VectorLayer({ source: new VectorSource(), style: LAND });
}

/** Put the land within ``window`` (degrees) into the layers, in the map's system. */
export async function fillLand(layers: VectorLayer[], window: Extent, crs: string): Promise<void> {
  countries ??= readCountries();
  const shown = (await countries).map((feature) => clipped(feature, window)).filter((each) => each !== null);
  for (const feature of shown) feature.getGeometry()!.transform("EPSG:4326", crs);
  for (const layer of layers) layer.setSource(new VectorSource({ features: shown }));
}

async function readCountries(): Promise<Feature[]> {
  const topology = await askJson<object>(new URL(countriesUrl, import.meta.url).href);
  return new TopoJSON({ layers: ["countries"] }).readFeatures(topology) as Feature[];
}

/** The part of a country within the window; beyond it, map projections tear areas apart. */
function clipped(feature: Feature, window: Extent): Feature | null {
  const geometry = feature.getGeometry() as Polygon | MultiPolygon;
  const polygons = geometry instanceof MultiPolygon ? geometry.getCoordinates() : [geometry.getCoordinates()];
  const parts = polygons
    .map((rings) => rings.map((ring) => clipRing(ring, window)).filter((ring) => ring.length > 3))
    .filter((rings) => rings.length > 0);
  return parts.length ? new Feature(new MultiPolygon(parts)) : null;
}

/** A ring cut by the four sides of a window, one after the other. */
function clipRing(ring: number[][], [west, south, east, north]: Extent): number[][] {
  const sides: [number, number, number][] = [[0, west, 1], [0, east, -1], [1, south, 1], [1, north, -1]];
  let points = ring;
  for (const [axis, limit, sign] of sides) points = clipSide(points, axis, limit, sign);
  return points.length ? [...points, points[0]] : [];
}

function clipSide(points: number[][], axis: number, limit: number, sign: number): number[][] {
  const kept: number[][] = [];
  const inside = (point: number[]) => (point[axis] - limit) * sign >= 0;
  points.forEach((point, index) => {
    const before = points[(index + points.length - 1) % points.length];
    if (inside(point) !== inside(before)) {
      const share = (limit - before[axis]) / (point[axis] - before[axis]);
      kept.push([before[0] + share * (point[0] - before[0]), before[1] + share * (point[1] - before[1])]);
    }
    if (inside(point)) kept.push(point);
  });
  return kept;
}
