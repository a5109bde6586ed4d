/** Running the process "predict-soil-property" as a job, by OGC API Processes. */
import type { GeoJsonPolygon } from "./area";
import { address, ask, askJson, Problem } from "./http";

export interface PredictionInputs {
  aoi: GeoJsonPolygon;
  property: string;
  depth?: string;
}

export interface JobStatus {
  jobID: string;
  status: "accepted" | "running" | "successful" | "failed" | "dismissed";
  progress?: number;
  message?: string;
}

interface Reference {
  href: string;
  type?: string;
}

export interface PredictionResult {
  map: Reference;
  preview?: Reference;
  statistics?: Record<string, unknown>;
  provenance?: Record<string, unknown>;
}

const FIRST_WAIT_MS = 400;
const LONGEST_WAIT_MS = 3000;
/** A restart of the service loses no job: some questions without an answer are no failure yet. */
const MOST_MISSES = 5;

/** One run; ``status`` tells each change, ``cancel`` ends it. */
export class Prediction {
  private job: string | null = null;
  private cancelled = false;

  constructor(private readonly status: (status: JobStatus) => void) {}

  /** Run to the end; null when it was cancelled. */
  async run(inputs: PredictionInputs): Promise<PredictionResult | null> {
    const response = await ask(address("ogc/processes/predict-soil-property/execution"), {
      method: "POST",
      headers: { "Content-Type": "application/json", Prefer: "respond-async" },
      body: JSON.stringify({ inputs }),
    });
    // A service may run a small request at once, whatever is preferred.
    if (response.status !== 201) return (await response.json()) as PredictionResult;
    this.job = await jobOf(response);
    if (this.cancelled) return this.dismiss();
    return this.follow();
  }

  /** End the run; the service stops the work. */
  async cancel(): Promise<void> {
    this.cancelled = true;
    if (this.job !== null) await this.dismiss();
  }

  private async follow(): Promise<PredictionResult | null> {
    let misses = 0;
    for (let wait = FIRST_WAIT_MS; ; wait = Math.min(wait * 1.5, LONGEST_WAIT_MS)) {
      await new Promise((resolve) => setTimeout(resolve, wait));
      if (this.cancelled) return null;
      let status: JobStatus;
      try {
        status = await askJson<JobStatus>(`${this.address()}?f=json`);
        misses = 0;
      } catch (error) {
        if (this.cancelled) return null;
        if (++misses >= MOST_MISSES || !isPassing(error)) throw error;
        continue;
      }
      this.status(status);
      if (status.status === "successful") return askJson<PredictionResult>(`${this.address()}/results?f=json`);
      if (status.status === "dismissed") return null;
      if (status.status === "failed") throw new Problem(`The prediction failed: ${status.message ?? "no reason is given"}`);
    }
  }

  private async dismiss(): Promise<null> {
    await ask(this.address(), { method: "DELETE" });
    return null;
  }

  private address(): string {
    return address(`ogc/jobs/${encodeURIComponent(this.job!)}`);
  }
}

/** Whether an error may pass by itself: no connection, or a service that is restarting. */
function isPassing(error: unknown): boolean {
  return error instanceof Problem && (error.status === undefined || error.status >= 502);
}

/** Id of the job, from the Location header or the answer's body. */
async function jobOf(response: Response): Promise<string> {
  const fromHeader = /\/jobs\/([^/?#]+)/.exec(response.headers.get("Location") ?? "")?.[1];
  if (fromHeader) return decodeURIComponent(fromHeader);
  const body = (await response.json().catch(() => null)) as { jobID?: string } | null;
  if (!body?.jobID) throw new Problem("The service took the request but did not say under which job.");
  return body.jobID;
}
