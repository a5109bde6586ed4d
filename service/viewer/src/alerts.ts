/** Messages to the reader: problems in an alert region, and what is going on in a quiet one. */
import { byId, el } from "./dom";
import { wordsOf } from "./http";

/** Show a problem until it is put away or the next action succeeds. */
export function showProblem(error: unknown): void {
  const close = el("button", { type: "button", class: "close", "aria-label": "Put this message away" }, "×");
  close.addEventListener("click", clearProblem);
  byId("alert").replaceChildren(el("p", {}, wordsOf(error)), close);
}

export function clearProblem(): void {
  byId("alert").replaceChildren();
}

/** Run an action of the reader; what goes wrong is shown. */
export async function attempt(action: () => void | Promise<void>): Promise<void> {
  clearProblem();
  try {
    await action();
  } catch (error) {
    showProblem(error);
  }
}
