/** The page: wires the parts together. */
import "ol/ol.css";
import "./style.css";
import { aboutView, appendLinks, creditLine, modelLinks } from "./about";
import { attempt, clearProblem, showProblem } from "./alerts";
import { AreaPanel } from "./area_panel";
import { readCatalog } from "./catalog";
import { byId, el } from "./dom";
import { placeText } from "./format";
import { readPlace } from "./inspect";
import { legend, legendTitle } from "./legend";
import type { Product } from "./products";
import { readingView } from "./reading_view";
import { Selection, type Choice } from "./selection";
import { SoilMap } from "./soil_map";
import { rangeOf, stretchOf, type Range } from "./views";

class Page {
  private readonly map = new SoilMap(byId("map"), showProblem, (count) => this.tooMany(count));
  private panel: AreaPanel | null = null;
  private choice: Choice | null = null;
  private range: Range | null = null;
  private turn = 0;
  private look = 0;

  async begin(): Promise<void> {
    const catalog = await readCatalog();
    if (catalog.subjects.length === 0) {
      byId("empty").hidden = false;
      return;
    }
    const selection = new Selection(catalog, (choice, moved) => this.show(choice, moved), showProblem);
    this.panel = new AreaPanel(this.map, catalog.predictable, (product, subject) => selection.showResult(product, subject));
    this.listen();
    try {
      await selection.begin();
    } finally {
      // Even where the first product cannot be shown, another can be chosen.
      byId<HTMLFieldSetElement>("controls").disabled = false;
    }
    document.documentElement.dataset.ready = "true";
  }

  private listen(): void {
    const opacity = byId<HTMLInputElement>("opacity");
    opacity.addEventListener("input", () => {
      this.map.opacity = Number(opacity.value) / 100;
      byId("opacity-value").textContent = `${opacity.value} %`;
    });
    byId("veil").addEventListener("change", () => this.choice && this.veil());
    this.map.map.on("singleclick", ({ coordinate }) => {
      if (this.choice && !this.panel?.area.drawing) void attempt(() => this.inspect(coordinate));
    });
    byId("inspect-centre").addEventListener("click", () => this.choice && void attempt(() => this.inspect(this.map.view.getCenter()!)));
    byId("fit").addEventListener("click", () => this.choice && this.map.focus(this.choice.mosaic.products));
  }

  private async show(choice: Choice, moved: boolean): Promise<void> {
    const turn = ++this.turn;
    clearProblem();
    const { mosaic, view } = choice;
    const product = mosaic.products.at(-1)!;
    this.choice = choice;
    if (moved) {
      this.map.focus(mosaic.products);
      this.describe(mosaic.products, product);
      this.forget();
    }
    this.panel?.shown(choice);
    const ranges = view.draw === "rgb" ? await stretchOf(mosaic.products, view) : [await rangeOf(mosaic.products, view)];
    if (turn !== this.turn) return;
    this.range = view.draw === "ramp" ? ranges[0] : null;
    this.map.show(mosaic.products, view, ranges);
    byId("legend-title").textContent = legendTitle(view);
    byId("legend").replaceChildren(...legend(view, product.rasters.get(view.raster)!, ranges[0]));
    byId("layer-note").textContent = view.draw === "rgb" ? "" : view.explanation;
    this.veil();
  }

  /** The layer that says where the model applies needs no veil. */
  private veil(): void {
    const { view, mosaic } = this.choice!;
    const useful = view.key !== "aoa" && mosaic.products.at(-1)!.kind === "soil-map";
    byId("veil-field").hidden = !useful;
    this.map.veiled = useful && byId<HTMLInputElement>("veil").checked;
  }

  private describe(products: Product[], product: Product): void {
    byId("simulated").hidden = !products.some((each) => each.simulated);
    byId("no-skill").hidden = !products.some((each) => each.unskilled);
    const about = byId("about");
    about.replaceChildren(...aboutView(product));
    byId("credits").replaceChildren(...creditLine(product));
    document.title = `${product.title} · CUP4SOIL`;
    if (product.modelUrl) {
      const turn = this.turn;
      modelLinks(product.modelUrl).then((links) => turn === this.turn && appendLinks(about, links), showProblem);
    }
  }

  private forget(): void {
    this.map.mark(null, this.map.crs);
    byId("reading").replaceChildren(el("p", { class: "note" }, "Click the map to see the value of a place, how sure it is, and whether the model applies there."));
  }

  private async inspect(coordinate: number[]): Promise<void> {
    const look = ++this.look;
    const { mosaic, subject } = this.choice!;
    byId("reading").setAttribute("aria-busy", "true");
    try {
      const reading = await readPlace(mosaic.products, coordinate, this.map.crs);
      if (look !== this.look) return;
      const where = el("p", { class: "place" }, placeText(this.map.lonLat(coordinate)));
      const parts = reading
        ? readingView(reading, subject.title, this.range)
        : [el("p", {}, "This place lies outside the map.")];
      byId("reading").replaceChildren(...parts, where);
      this.map.mark(reading?.outline ?? null, reading?.product.crs ?? this.map.crs);
      byId("here").scrollIntoView({ block: "nearest" });
    } finally {
      byId("reading").removeAttribute("aria-busy");
    }
  }

  private tooMany(count: number): void {
    byId("map-note").textContent = count ? `Zoom in to see the map: ${count} tiles are in view.` : "";
  }
}

void attempt(() => new Page().begin());
