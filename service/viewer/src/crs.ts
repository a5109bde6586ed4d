/** Coordinate reference systems: the European grid, UTM zones, and what an item describes itself. */
import { get as getProjection, transformExtent } from "ol/proj";
import { register } from "ol/proj/proj4";
import { intersects, type Extent } from "ol/extent";
import proj4 from "proj4";
import { Problem } from "./http";

interface Crs {
  definition: string;
  /** Whether the first axis is northing: then an OGC bbox gives northing before easting. */
  northingFirst: boolean;
}

export const EUROPE = "EPSG:3035";
/** Where the European grid is meant for: west, south, east, north. */
const EUROPE_AREA: Extent = [-35.58, 24.6, 44.83, 84.73];
const GRS80 = "+ellps=GRS80 +units=m +no_defs";

/** Definitions by EPSG code; no datum shift, as the systems differ by less than a cell. */
function known(code: number): Crs | null {
  const utm = (zone: number, rest: string) => ({ definition: `+proj=utm +zone=${zone} ${rest}`, northingFirst: false });
  if (code > 32600 && code <= 32660) return utm(code - 32600, "+datum=WGS84 +units=m +no_defs");
  if (code > 32700 && code <= 32760) return utm(code - 32700, "+south +datum=WGS84 +units=m +no_defs");
  if (code >= 25828 && code <= 25838) return utm(code - 25800, GRS80);
  if (code > 26900 && code <= 26923) return utm(code - 26900, GRS80);
  switch (code) {
    case 3035:
      return { definition: `+proj=laea +lat_0=52 +lon_0=10 +x_0=4321000 +y_0=3210000 ${GRS80}`, northingFirst: true };
    case 3034:
      return {
        definition: `+proj=lcc +lat_0=52 +lon_0=10 +lat_1=35 +lat_2=65 +x_0=4000000 +y_0=2800000 ${GRS80}`,
        northingFirst: true,
      };
    case 2154:
      return {
        definition: `+proj=lcc +lat_0=46.5 +lon_0=3 +lat_1=49 +lat_2=44 +x_0=700000 +y_0=6600000 ${GRS80}`,
        northingFirst: false,
      };
    case 3006:
      return { definition: `+proj=utm +zone=33 ${GRS80}`, northingFirst: true };
    case 3067:
      return { definition: `+proj=utm +zone=35 ${GRS80}`, northingFirst: false };
    case 4326:
      return { definition: "+proj=longlat +datum=WGS84 +no_defs", northingFirst: true };
    case 3857:
      return { definition: "", northingFirst: false };
    default:
      return null;
  }
}

/**
 * Make a system usable on the map.
 *
 * Throws a ``Problem`` for one that is not known here: guessing would put a map in a wrong place.
 */
export function useCrs(code: string): void {
  if (getProjection(code) && registered.has(code)) return;
  const crs = known(epsgNumber(code));
  if (crs === null) throw new Problem(`This page cannot draw maps in ${code}; download the files to use them.`);
  if (crs.definition !== "" && code !== "EPSG:4326") {
    proj4.defs(code, crs.definition);
    register(proj4);
  }
  registered.add(code);
}

const registered = new Set<string>();

/** The map's system for products within ``bbox`` (degrees): the European grid, elsewhere their own. */
export function mapCrs(bbox: Extent, own: string): string {
  return intersects(bbox, EUROPE_AREA) ? EUROPE : own;
}

/** Part of the world that a map in this system may show, in degrees. */
export function window(code: string, centre: number[]): Extent {
  if (code === EUROPE) return [-45, 20, 70, 85];
  const [lon, lat] = centre;
  return [lon - 40, Math.max(-85, lat - 35), lon + 40, Math.min(85, lat + 35)];
}

/** Extent in another system, by densified edges, so that it covers the whole area. */
export function coveringExtent(extent: Extent, from: string, to: string): Extent {
  return from === to ? [...extent] : transformExtent(extent, from, to, 16);
}

/** An extent as OGC API's bbox and bbox-crs, in the axis order of the system. */
export function ogcBbox(extent: Extent, code: string): { bbox: string; crs: string } {
  const [west, south, east, north] = extent;
  const order = known(epsgNumber(code))?.northingFirst ? [south, west, north, east] : [west, south, east, north];
  const decimals = code === "EPSG:4326" ? 7 : 3;
  return {
    bbox: order.map((value) => Number(value.toFixed(decimals))).join(","),
    crs: `http://www.opengis.net/def/crs/EPSG/0/${epsgNumber(code)}`,
  };
}

/** Degrees to metres in an equal-area projection around a place, in place, for areas on the ellipsoid. */
export function equalArea([lon, lat]: number[]): (coordinates: number[], output?: number[], dimension?: number) => number[] {
  const local = proj4(`+proj=laea +lat_0=${lat} +lon_0=${lon} +x_0=0 +y_0=0 ${GRS80}`);
  return (coordinates, output = coordinates, dimension = 2) => {
    for (let index = 0; index < coordinates.length; index += dimension) {
      [output[index], output[index + 1]] = local.forward([coordinates[index], coordinates[index + 1]]);
    }
    return output;
  };
}

function epsgNumber(code: string): number {
  return Number(/^EPSG:(\d+)$/.exec(code)?.[1]);
}
