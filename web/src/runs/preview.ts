/** How a stored file is shown. Pure. */

const IMAGES: { [ending: string]: string } = {
  png: 'image/png',
  jpg: 'image/jpeg',
  jpeg: 'image/jpeg',
  gif: 'image/gif',
  webp: 'image/webp',
  svg: 'image/svg+xml',
};

/** The first so many bytes of a text are shown; an image only up to this size. */
export const TEXT_BYTES = 256 * 1024;
export const IMAGE_BYTES = 16 * 1024 * 1024;

export function imageType(path: string): string | null {
  return IMAGES[path.slice(path.lastIndexOf('.') + 1).toLowerCase()] ?? null;
}

/** The text in some bytes, JSON indented; null when they are no text. `whole` is false when the file goes on. */
export function textOf(bytes: Uint8Array, path: string, whole: boolean): string | null {
  if (bytes.includes(0)) return null;
  let text: string;
  try {
    // A file that is cut may be cut within a character; streaming holds that back instead of failing.
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: !whole });
  } catch {
    return null;
  }
  if (!whole || !path.endsWith('.json')) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
