/** The panel "Area": choosing one, downloading it, predicting for it. */
import { transformExtent } from "ol/proj";
import { attempt } from "./alerts";
import { Area } from "./area";
import type { Predictable } from "./catalog";
import { byId, fillSelect } from "./dom";
import { coverageUrl, save } from "./download";
import { hectares } from "./format";
import { Problem } from "./http";
import { Prediction, type JobStatus } from "./prediction";
import type { Product } from "./products";
import { resultProduct, resultView } from "./result";
import type { Choice } from "./selection";
import type { SoilMap } from "./soil_map";

const STATES: Record<JobStatus["status"], string> = {
  accepted: "Waiting for its turn",
  running: "Running",
  successful: "Done",
  failed: "Failed",
  dismissed: "Cancelled",
};

export class AreaPanel {
  readonly area: Area;
  private choice: Choice | null = null;
  private running: Prediction | null = null;

  constructor(
    private readonly map: SoilMap,
    private readonly predictable: Predictable[],
    private readonly predicted: (product: Product, subject: string) => Promise<void>,
  ) {
    this.area = new Area(map, () => this.update());
    const on = (id: string, action: () => void | Promise<void>) =>
      byId(id).addEventListener("click", () => void attempt(action));
    on("draw", () => this.area.toggleDrawing());
    on("use-visible", () => this.area.useVisible(this.map.extentOf(this.choice!.mosaic.products)));
    on("clear-area", () => this.area.clear());
    on("load", () => byId<HTMLInputElement>("file").click());
    on("download", () => this.download());
    on("predict", () => this.predict());
    on("cancel", () => this.running?.cancel());
    byId("file").addEventListener("change", () => void attempt(() => this.load()));
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.area.drawing) this.area.stopDrawing();
    });
    this.offerModels();
    this.update();
  }

  /** Another product is shown. */
  shown(choice: Choice): void {
    this.choice = choice;
    const options = this.predictable.map((_, index) => String(index));
    const same = this.predictable.findIndex((each) => each.property === choice.subject.key && each.depth === choice.depth);
    if (same >= 0) byId<HTMLSelectElement>("target").value = options[same];
    this.update();
  }

  private offerModels(): void {
    const options = this.predictable.map(({ title }, index) => ({ value: String(index), text: title }));
    fillSelect(byId<HTMLSelectElement>("target"), options, "0");
    byId("predicting").hidden = options.length === 0;
    byId("no-model").hidden = options.length > 0;
  }

  private update(): void {
    const [chosen, busy] = [this.area.chosen, this.running !== null];
    byId("draw").setAttribute("aria-pressed", String(this.area.drawing));
    byId("area-size").textContent = this.area.drawing
      ? "Click two opposite corners on the map. Escape ends drawing."
      : chosen
        ? `Area of ${hectares(this.area.hectares())} chosen.`
        : "No area chosen yet.";
    const set = (id: string, enabled: boolean) => (byId<HTMLButtonElement>(id).disabled = !enabled);
    // Before a product is shown the map has neither its place nor its system.
    for (const id of ["draw", "use-visible", "load"]) set(id, this.choice !== null);
    set("clear-area", chosen);
    set("download", chosen && this.choice !== null && !this.choice.mosaic.products.some((each) => each.result));
    set("predict", chosen && !busy);
    byId("running").hidden = !busy;
  }

  private async load(): Promise<void> {
    const input = byId<HTMLInputElement>("file");
    const file = input.files?.[0];
    if (file) await this.area.load(file);
    input.value = "";
  }

  private async download(): Promise<void> {
    const { mosaic, view } = this.choice!;
    const product = mosaic.products.at(-1)!;
    const button = byId<HTMLButtonElement>("download");
    button.disabled = true;
    try {
      const url = coverageUrl(product, view, this.area.extent(), this.map.crs);
      await save(url, `${product.collection}_${product.end.slice(0, 10)}.tif`);
    } finally {
      this.update();
    }
  }

  private async predict(): Promise<void> {
    const { property, depth, title } = this.predictable[Number(byId<HTMLSelectElement>("target").value)];
    const inputs = { aoi: this.area.geoJson(), property, ...(depth && { depth }) };
    const bbox = transformExtent(this.area.extent(), this.map.crs, "EPSG:4326", 8);
    byId("prediction-result").replaceChildren();
    this.running = new Prediction((status) => this.progress(status));
    this.progress({ jobID: "", status: "accepted" });
    this.update();
    try {
      const result = await this.running.run(inputs);
      if (result === null) {
        byId("prediction-result").textContent = "The prediction was cancelled.";
        return;
      }
      if (!result.map?.href) throw new Problem("The service's result has no map.");
      byId("prediction-result").replaceChildren(...resultView(result, title));
      await this.predicted(await resultProduct(result, { property, depth, bbox }, title), property);
    } finally {
      this.running = null;
      this.update();
    }
  }

  private progress({ status, progress, message }: JobStatus): void {
    const bar = byId<HTMLProgressElement>("progress");
    if (progress === undefined || status === "accepted") bar.removeAttribute("value");
    else bar.value = progress;
    const share = progress === undefined || status !== "running" ? "" : `, ${Math.round(progress)} %`;
    byId("progress-text").textContent = `${STATES[status]}${share}${message ? `: ${message}` : ""}`;
  }
}
