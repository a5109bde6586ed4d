/** Reading from the service, with its problem reports (RFC 9457) turned into errors. */

/** What went wrong, in words for the reader. */
export class Problem extends Error {
  constructor(
    message: string,
    readonly status?: number,
  ) {
    super(message);
  }
}

/** Address of something of this service, relative to where the page is mounted. */
export function address(path: string): string {
  return new URL(path, document.baseURI).href;
}

/** Ask the service; anything but a success is a ``Problem`` with the service's own words. */
export async function ask(url: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, init);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Problem("The service does not answer. Check the connection and try again.");
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

/** The JSON document at ``url``. */
export async function askJson<T>(url: string, init: RequestInit = {}): Promise<T> {
  const response = await ask(url, init);
  try {
    return (await response.json()) as T;
  } catch {
    throw new Problem(`The answer from ${new URL(url).pathname} is not JSON.`);
  }
}

/** What to tell the reader of any error. */
export function wordsOf(error: unknown): string {
  if (error instanceof Problem) return error.message;
  return error instanceof Error ? `Something failed in the page: ${error.message}` : String(error);
}

async function problemOf(response: Response): Promise<Problem> {
  const type = response.headers.get("content-type") ?? "";
  if (type.includes("json")) {
    const body: unknown = await response.json().catch(() => null);
    const text = described(body);
    if (text !== null) return new Problem(text, response.status);
  }
  return new Problem(`The service answered with status ${response.status}.`, response.status);
}

function described(body: unknown): string | null {
  if (typeof body !== "object" || body === null) return null;
  const { title, detail, description } = body as Record<string, unknown>;
  const parts = [title, detail ?? description].filter((part): part is string => typeof part === "string" && part !== "");
  return parts.length ? [...new Set(parts)].join(": ") : null;
}
