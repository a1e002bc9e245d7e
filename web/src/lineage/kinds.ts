/** One hue per kind. Each lane keeps to its own half of the wheel, so a graph shows at a glance which lane it crosses. */

const HUES: { [kind: string]: number } = {
  // ml: green to indigo
  dataset: 195,
  feature_view: 230,
  feature_values: 170,
  model: 262,
  // llm: violet to pink
  document: 335,
  chunk: 5,
  index: 305,
  embedder: 285,
  prompt: 355,
  generator: 295,
  // control: amber where both lanes join
  release: 75,
  run: 130,
};

/** Kinds that can be registered, in the order data flows; chunks, feature values and runs are not revisions. */
export const KINDS = Object.keys(HUES).filter((kind) => !['chunk', 'feature_values', 'run'].includes(kind));

/** The hue (OKLCH degrees) of a kind, or null for what stays grey: traces and kinds the console does not know. */
export function hueOf(kind: string): number | null {
  return HUES[kind] ?? null;
}

/** `feature_view` reads `feature view`. */
export function kindLabel(kind: string): string {
  return kind.replaceAll('_', ' ');
}
