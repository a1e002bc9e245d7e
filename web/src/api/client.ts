/** One way to ask the server: JSON in, JSON out, and every failure as an `ApiError` with a sentence to show. */

const KEY = 'twinloop-key';

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** The API key lives for the browser tab only; it is needed only where the server asks for one. */
export const apiKey = {
  get: (): string | null => sessionStorage.getItem(KEY),
  set: (value: string): void => sessionStorage.setItem(KEY, value),
};

export type Query = { [name: string]: string | number | undefined };

/** Quote a name or ref for a path, keeping the `/` and `@` that belong to it. */
export function quoteRef(ref: string): string {
  return ref.split('/').map(encodeURIComponent).join('/').replaceAll('%40', '@');
}

export function address(path: string, query: Query = {}): string {
  const pairs = Object.entries(query).filter(([, value]) => value !== undefined && value !== '');
  const search = new URLSearchParams(pairs.map(([name, value]) => [name, String(value)])).toString();
  return `/api/v1/${path}${search ? `?${search}` : ''}`;
}

async function failure(response: Response): Promise<ApiError> {
  const text = await response.text();
  try {
    const { error } = JSON.parse(text) as { error: { code: string; message: string } };
    return new ApiError(response.status, error.code, error.message);
  } catch {
    const told = response.statusText || 'no reason given';
    return new ApiError(response.status, 'unreadable', `The server answered ${response.status} (${told}).`);
  }
}

export async function get<T>(path: string, query: Query = {}, signal?: AbortSignal): Promise<T> {
  return (await (await ask(address(path, query), { accept: 'application/json' }, signal)).json()) as T;
}

/** The bytes of a stored file, or the first `most` of them. */
export async function bytes(path: string, most?: number, signal?: AbortSignal): Promise<Blob> {
  const range: { [name: string]: string } = most === undefined ? {} : { range: `bytes=0-${most - 1}` };
  return (await ask(address(`artifacts/${quoteRef(path)}`), range, signal)).blob();
}

async function ask(url: string, headers: { [name: string]: string }, signal?: AbortSignal): Promise<Response> {
  const key = apiKey.get();
  let response: Response;
  try {
    response = await fetch(url, {
      headers: { ...headers, ...(key ? { authorization: `Bearer ${key}` } : {}) },
      ...(signal ? { signal } : {}),
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new ApiError(0, 'unreachable', 'The server does not answer. Start it with `twinloop up`.');
  }
  if (!response.ok) throw await failure(response);
  return response;
}
