/** The area that the reader chooses: a drawn rectangle, the visible part of the map, or a GeoJSON polygon. */
import Feature from "ol/Feature";
import Draw, { createBox } from "ol/interaction/Draw";
import { getCenter, getIntersection, isEmpty, type Extent } from "ol/extent";
import GeoJSON from "ol/format/GeoJSON";
import type Geometry from "ol/geom/Geometry";
import MultiPolygon from "ol/geom/MultiPolygon";
import Polygon from "ol/geom/Polygon";
import { equalArea } from "./crs";
import { Problem } from "./http";
import { rectangle } from "./rectangle";
import type { SoilMap } from "./soil_map";

const LARGEST_FILE = 2_000_000;
const MOST_POINTS = 20_000;

export interface GeoJsonPolygon {
  type: "Polygon" | "MultiPolygon";
  coordinates: unknown[];
}

export class Area {
  private draw: Draw | null = null;

  constructor(
    private readonly map: SoilMap,
    private readonly changed: () => void,
  ) {}

  get chosen(): boolean {
    return this.map.area.getFeatures().length > 0;
  }

  get drawing(): boolean {
    return this.draw !== null;
  }

  /** Size on the ellipsoid, in hectares. */
  hectares(): number {
    const geometry = this.geometry().clone().transform(this.map.crs, "EPSG:4326") as Polygon | MultiPolygon;
    geometry.applyTransform(equalArea(getCenter(geometry.getExtent())));
    return geometry.getArea() / 10_000;
  }

  /** The area in degrees, as GeoJSON has it. */
  geoJson(): GeoJsonPolygon {
    const written = new GeoJSON().writeGeometryObject(this.geometry(), {
      featureProjection: this.map.crs,
      dataProjection: "EPSG:4326",
      rightHanded: true,
      decimals: 7,
    });
    return written as unknown as GeoJsonPolygon;
  }

  /** The extent of the area in the map's system. */
  extent(): Extent {
    return this.geometry().getExtent();
  }

  /** Let the reader draw a rectangle; a second call stops it. */
  toggleDrawing(): void {
    if (this.draw) return this.stopDrawing();
    this.draw = new Draw({ type: "Circle", geometryFunction: createBox() });
    this.draw.on("drawend", ({ feature }) => {
      const extent = feature.getGeometry()!.getExtent();
      // The map would take the last click for an inspection.
      setTimeout(() => this.stopDrawing(), 300);
      this.set(rectangle(extent));
    });
    this.map.map.addInteraction(this.draw);
    this.changed();
  }

  stopDrawing(): void {
    if (this.draw) this.map.map.removeInteraction(this.draw);
    this.draw = null;
    this.changed();
  }

  /** Take the part of the map that is visible, within ``limits`` (in the map's system). */
  useVisible(limits: Extent): void {
    const extent = getIntersection(this.map.visible(), limits);
    if (isEmpty(extent)) throw new Problem("No part of the map is visible. Move the map to it first.");
    this.set(rectangle(extent));
  }

  /** Take the polygon of a GeoJSON file. */
  async load(file: File): Promise<void> {
    if (file.size > LARGEST_FILE) throw new Problem(`${file.name} is larger than 2 MB. Give the outline of one area.`);
    const geometry = readPolygon(await file.text(), file.name);
    this.set(geometry.transform("EPSG:4326", this.map.crs) as Polygon | MultiPolygon);
    this.map.view.fit(this.extent(), { padding: [40, 40, 40, 40], maxZoom: 16 });
  }

  clear(): void {
    this.map.area.clear();
    this.changed();
  }

  private geometry(): Geometry {
    return this.map.area.getFeatures()[0].getGeometry()!;
  }

  private set(geometry: Polygon | MultiPolygon): void {
    this.map.area.clear();
    this.map.area.addFeature(new Feature<Geometry>(geometry));
    this.changed();
  }
}

/** The one polygon of a GeoJSON text, in degrees. */
function readPolygon(text: string, name: string): Polygon | MultiPolygon {
  let features: Feature[];
  try {
    features = new GeoJSON().readFeatures(JSON.parse(text)) as Feature[];
  } catch {
    throw new Problem(`${name} is not GeoJSON.`);
  }
  const polygons = features.map((each) => each.getGeometry()).filter((each) => each instanceof Polygon || each instanceof MultiPolygon);
  if (polygons.length !== 1) throw new Problem(`${name} has ${polygons.length} polygons. Give a file with one.`);
  const [west, south, east, north] = polygons[0].getExtent();
  if (!(west >= -180 && east <= 180 && south >= -90 && north <= 90)) {
    throw new Problem(`${name} is not in degrees. GeoJSON has longitude and latitude (WGS 84).`);
  }
  if (polygons[0].getFlatCoordinates().length / 2 > MOST_POINTS) {
    throw new Problem(`The polygon of ${name} has more than ${MOST_POINTS} points. Simplify it.`);
  }
  return polygons[0];
}
