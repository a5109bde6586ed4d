/** A net of meridians and parallels with their degrees at the top and right border of the map. */
import Feature from "ol/Feature";
import LineString from "ol/geom/LineString";
import Point from "ol/geom/Point";
import VectorLayer from "ol/layer/Vector";
import { transform, transformExtent } from "ol/proj";
import VectorSource from "ol/source/Vector";
import type { Extent } from "ol/extent";
import { Fill, Stroke, Style, Text } from "ol/style";

/** Distances between lines, in minutes of arc. */
const STEPS = [1800, 1200, 600, 300, 120, 60, 30, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1];
/** Least distance between lines along and across the map, so that labels do not meet (pixels). */
const [LEAST_X, LEAST_Y] = [110, 90];
const POINTS = 24;
/** Where labels stand, as a share of the map's width or height from its border. */
const MARGIN = 0.018;
const LINE = new Style({ stroke: new Stroke({ color: "rgba(70, 90, 110, 0.3)", width: 1 }) });

export class Graticule {
  private readonly source = new VectorSource();
  readonly layer = new VectorLayer({ source: this.source, updateWhileAnimating: true });

  /** Draw the lines of a part of the map; ``width`` and ``height`` are those of the map in pixels. */
  update(extent: Extent, crs: string, [width, height]: number[]): void {
    const [west, south, east, north] = transformExtent(extent, crs, "EPSG:4326", 8);
    const [stepX, stepY] = [stepOf(east - west, width / LEAST_X), stepOf(north - south, height / LEAST_Y)];
    this.source.clear();
    for (const lon of multiples(west, east, stepX)) {
      this.add(line((share) => [lon, south + share * (north - south)], crs), extent, degrees(lon, "E", "W", stepX), 1);
    }
    for (const lat of multiples(south, north, stepY)) {
      this.add(line((share) => [west + share * (east - west), lat], crs), extent, degrees(lat, "N", "S", stepY), 0);
    }
  }

  /** Add a line, and its label where it crosses the top (axis 1) or right (axis 0) of the map. */
  private add(points: number[][], extent: Extent, label: string, axis: number): void {
    const drawn = new Feature(new LineString(points));
    drawn.setStyle(LINE);
    this.source.addFeature(drawn);
    const border = extent[axis + 2] - MARGIN * (extent[axis + 2] - extent[axis]);
    const place = crossing(points, axis, border);
    if (place === null) return;
    const text = new Feature(new Point(place));
    text.setStyle(new Style({ text: labelText(label, axis) }));
    this.source.addFeature(text);
  }
}

/** The smallest step, in degrees, that makes at most ``most`` lines. */
function stepOf(size: number, most: number): number {
  return (STEPS.findLast((each) => (size * 60) / each <= most) ?? STEPS[0]) / 60;
}

function line(at: (share: number) => number[], crs: string): number[][] {
  return Array.from({ length: POINTS + 1 }, (_, index) => transform(at(index / POINTS), "EPSG:4326", crs));
}

function multiples(low: number, high: number, step: number): number[] {
  const first = Math.ceil(low / step);
  const count = Math.max(0, Math.floor(high / step) - first + 1);
  return Array.from({ length: count }, (_, index) => (first + index) * step);
}

function crossing(points: number[][], axis: number, border: number): number[] | null {
  for (let index = 1; index < points.length; index++) {
    const [from, to] = [points[index - 1], points[index]];
    if ((from[axis] - border) * (to[axis] - border) > 0) continue;
    const share = (border - from[axis]) / (to[axis] - from[axis]);
    return [from[0] + share * (to[0] - from[0]), from[1] + share * (to[1] - from[1])];
  }
  return null;
}

function labelText(text: string, axis: number): Text {
  return new Text({
    text,
    font: "11px system-ui, sans-serif",
    textAlign: axis === 0 ? "end" : "center",
    fill: new Fill({ color: "#4d5763" }),
    stroke: new Stroke({ color: "#ffffff", width: 3 }),
  });
}

/** 14° 30′ E; tenths of minutes where lines stand that close. */
function degrees(value: number, positive: string, negative: string, step: number): string {
  const places = step * 60 < 1 ? 1 : 0;
  const minutes = Number((Math.abs(value) * 60).toFixed(places));
  const [whole, rest] = [Math.floor(minutes / 60), (minutes % 60).toFixed(places)];
  const side = minutes === 0 ? "" : value > 0 ? ` ${positive}` : ` ${negative}`;
  return step >= 1 ? `${whole}°${side}` : `${whole}° ${rest.padStart(places ? 4 : 2, "0")}′${side}`;
}
