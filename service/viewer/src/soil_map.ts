/** The map: base, the product drawn, the veil, the cell looked at, the area chosen. */
import Feature from "ol/Feature";
import OlMap from "ol/Map";
import OlView from "ol/View";
import { defaults as defaultControls } from "ol/control/defaults";
import OverviewMap from "ol/control/OverviewMap";
import ScaleLine from "ol/control/ScaleLine";
import { boundingExtent, getCenter, intersects, type Extent } from "ol/extent";
import Point from "ol/geom/Point";
import Polygon from "ol/geom/Polygon";
import type Geometry from "ol/geom/Geometry";
import LayerGroup from "ol/layer/Group";
import VectorLayer from "ol/layer/Vector";
import type WebGLTileLayer from "ol/layer/WebGLTile";
import { get as getProjection, toLonLat, transformExtent } from "ol/proj";
import VectorSource from "ol/source/Vector";
import { Circle, Stroke, Style } from "ol/style";
import { fillLand, landLayer } from "./basemap";
import { EUROPE, mapCrs, useCrs, window as windowOf } from "./crs";
import { Graticule } from "./graticule";
import { veilLayer, viewLayer } from "./painting";
import type { Product } from "./products";
import { rectangle } from "./rectangle";
import type { Range, View } from "./views";

/** Tiles of one map that are drawn at once; a view of more shows their outlines until one zooms in. */
const MOST_DRAWN = 24;
const AREA = new Style({
  stroke: new Stroke({ color: "#8f2d13", width: 2.5, lineDash: [8, 5] }),
});
const FRAME = new Style({ stroke: new Stroke({ color: "#46505c", width: 1 }) });
/** The outline of the cell, within a ring that is seen from afar. */
const CELL = [
  new Style({ stroke: new Stroke({ color: "#ffffff", width: 4 }) }),
  new Style({ stroke: new Stroke({ color: "#111827", width: 1.5 }) }),
  ring("#ffffff", 5),
  ring("#111827", 2),
];

interface Shown {
  products: Product[];
  view: View;
  ranges: (Range | null)[];
}

export class SoilMap {
  readonly map: OlMap;
  readonly area = new VectorSource<Feature<Geometry>>();
  crs = EUROPE;
  private readonly land = landLayer();
  private readonly locatorLand = landLayer();
  private readonly frames = new VectorSource();
  private readonly cell = new VectorSource();
  private readonly drawn = new LayerGroup();
  private readonly veils = new LayerGroup();
  private readonly graticule = new Graticule();
  private locator: OverviewMap | null = null;
  private shown: Shown | null = null;
  /** Products whose layers are made or being made. */
  private readonly begun = new Set<Product>();
  private generation = 0;

  constructor(
    target: HTMLElement,
    private readonly onProblem: (error: unknown) => void,
    private readonly onTooMany: (count: number) => void,
  ) {
    useCrs(EUROPE);
    this.map = new OlMap({
      target,
      keyboardEventTarget: target,
      controls: defaultControls({ attribution: false, rotate: false }).extend([new ScaleLine({ minWidth: 80 })]),
      layers: [
        this.land,
        this.drawn,
        this.veils,
        this.graticule.layer,
        new VectorLayer({ source: this.frames, style: FRAME }),
        new VectorLayer({ source: this.area, style: AREA }),
        new VectorLayer({ source: this.cell, style: CELL }),
      ],
      view: new OlView({ projection: EUROPE, center: [4321000, 3210000], resolution: 4000 }),
    });
    this.map.on("moveend", () => this.refresh());
  }

  get view(): OlView {
    return this.map.getView();
  }

  /** Draw a view of products in place of what was there. */
  show(products: Product[], view: View, ranges: (Range | null)[]): void {
    this.generation++;
    this.shown = { products, view, ranges };
    this.drawn.getLayers().clear();
    this.veils.getLayers().clear();
    this.begun.clear();
    this.frames.clear();
    this.frames.addFeatures(products.map((each) => new Feature(this.outline(each))));
    this.refresh();
  }

  /** Bring products into the middle of the map, in a system that suits where they are. */
  focus(products: Product[]): void {
    const bbox = boundingExtent(products.flatMap(({ bbox: [w, s, e, n] }) => [[w, s], [e, n]]));
    const crs = mapCrs(bbox, products[0].crs);
    if (this.locator === null || crs !== this.crs) this.useProjection(crs, bbox);
    this.view.fit(this.extentOf(products), { padding: [28, 28, 28, 28], duration: 0 });
  }

  set opacity(value: number) {
    this.drawn.setOpacity(value);
  }

  set veiled(on: boolean) {
    this.veils.setVisible(on);
  }

  /** Outline the cell that was looked at; null takes the outline away. */
  mark(outline: number[][] | null, crs: string): void {
    this.cell.clear();
    if (outline) this.cell.addFeature(new Feature(new Polygon([outline]).transform(crs, this.crs)));
  }

  /** The extent that is visible, in the map's system. */
  visible(): Extent {
    return this.view.calculateExtent(this.map.getSize());
  }

  /** The extent of products, in the map's system. */
  extentOf(products: Product[]): Extent {
    return boundingExtent(products.map((each) => this.outline(each).getExtent()).flatMap(cornersOf));
  }

  lonLat(coordinate: number[]): number[] {
    return toLonLat(coordinate, this.crs);
  }

  /** The product's grid on the map; its bounding box where the catalog does not give the grid. */
  private outline(product: Product): Polygon {
    if (!product.grid) return rectangle(product.bbox).transform("EPSG:4326", this.crs) as Polygon;
    useCrs(product.crs);
    return rectangle(product.grid).transform(product.crs, this.crs) as Polygon;
  }

  private useProjection(crs: string, bbox: Extent): void {
    useCrs(crs);
    this.crs = crs;
    const projection = getProjection(crs)!;
    const world = windowOf(crs, getCenter(bbox));
    projection.setExtent(transformExtent(world, "EPSG:4326", crs, 32));
    this.area.clear();
    this.cell.clear();
    this.map.setView(
      new OlView({ projection, center: [0, 0], resolution: 100, minResolution: 0.5, maxResolution: 8000, constrainOnlyCenter: true }),
    );
    this.locate(projection.getExtent());
    fillLand([this.land, this.locatorLand], world, crs).catch(this.onProblem);
  }

  /** The small map knows one system only; another needs a new one. */
  private locate(world: Extent): void {
    if (this.locator) this.map.removeControl(this.locator);
    const projection = this.view.getProjection();
    const resolution = 5_000_000 / 130;
    this.locator = new OverviewMap({
      className: "ol-overviewmap locator",
      collapsed: false,
      collapsible: false,
      layers: [this.locatorLand],
      view: new OlView({ projection, center: getCenter(world), resolution, minResolution: resolution, maxResolution: resolution }),
    });
    this.map.addControl(this.locator);
  }

  /** Make layers for the products that have come into view; each reads its file from then on. */
  private refresh(): void {
    const size = this.map.getSize();
    if (this.shown === null || !size) return;
    const extent = this.visible();
    this.graticule.update(extent, this.crs, size);
    const wanted = this.shown.products.filter((each) => intersects(this.outline(each).getExtent(), extent));
    const tooMany = wanted.length > MOST_DRAWN;
    this.onTooMany(tooMany ? wanted.length : 0);
    if (tooMany) return;
    for (const product of wanted) {
      if (!this.begun.has(product)) void this.add(product, this.shown, this.generation);
    }
  }

  private async add(product: Product, { view, ranges, products }: Shown, generation: number): Promise<void> {
    this.begun.add(product);
    try {
      useCrs(product.crs);
      const [data, veil] = await Promise.all([viewLayer(product, view, ranges), veilLayer(product)]);
      if (generation !== this.generation) return;
      const order = products.indexOf(product);
      for (const [layer, group] of [[data, this.drawn], [veil, this.veils]] as const) {
        if (layer === null) continue;
        layer.setZIndex(order);
        layer.getSource()!.on("change", () => this.check(layer));
        group.getLayers().push(layer);
      }
    } catch (error) {
      if (generation === this.generation) this.onProblem(error);
    }
  }

  private check(layer: WebGLTileLayer): void {
    const source = layer.getSource();
    if (source?.getState() === "error") this.onProblem(new Error("a file of the map cannot be read"));
  }
}

function ring(color: string, width: number): Style {
  return new Style({
    image: new Circle({ radius: 9, stroke: new Stroke({ color, width }) }),
    geometry: (feature) => new Point(getCenter(feature.getGeometry()!.getExtent())),
  });
}

function cornersOf([west, south, east, north]: Extent): number[][] {
  return [[west, south], [east, north]];
}
