/** Rectangles that stay what they are in another coordinate reference system. */
import type { Extent } from "ol/extent";
import Polygon, { fromExtent } from "ol/geom/Polygon";

/** Points along each side, as a straight side is none in degrees or in another projection. */
const POINTS_PER_SIDE = 8;

/** A rectangle with points along its sides. */
export function rectangle(extent: Extent): Polygon {
  const corners = fromExtent(extent).getCoordinates()[0];
  const ring = corners.slice(0, -1).flatMap(([x, y], index) => {
    const [nextX, nextY] = corners[index + 1];
    return Array.from({ length: POINTS_PER_SIDE }, (_, step) => {
      const share = step / POINTS_PER_SIDE;
      return [x + share * (nextX - x), y + share * (nextY - y)];
    });
  });
  return new Polygon([[...ring, ring[0]]]);
}
