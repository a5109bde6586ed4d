/** What is shown, kept in the page's address, so that a view can be sent to somebody. */

export interface State {
  subject?: string;
  depth?: string;
  period?: string;
  layer?: string;
}

const NAMES = ["subject", "depth", "period", "layer"] as const;

/** The state that the address names. */
export function readState(): State {
  const given = new URLSearchParams(location.hash.slice(1));
  return Object.fromEntries(NAMES.map((name) => [name, given.get(name) ?? undefined]));
}

/** Put the state into the address, without a new entry in the history. */
export function writeState(state: State): void {
  const query = new URLSearchParams();
  for (const name of NAMES) if (state[name]) query.set(name, state[name]);
  history.replaceState(null, "", `#${query}`);
}
