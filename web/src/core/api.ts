/** Requests to the gateway: each with a time limit, each failure as one of two kinds. */

import { signal } from "@preact/signals";
import type { Page } from "./types";

const API = "/api/v1";
const PATIENCE_MS = 15_000;
const PAGE_SIZE = 1000;

/** The gateway has refused or failed; `code` is stable, `message` is English. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly details: Record<string, unknown> = {},
  ) {
    super(message);
  }
}

/** No answer: no network, no gateway, or none in time. */
export class Unreachable extends Error {}

/** Since when (milliseconds) no request was answered; null while the gateway answers. */
export const awaySince = signal<number | null>(null);

interface Credentials {
  token: () => string | null;
  renew: () => Promise<boolean>;
}

let credentials: Credentials = { token: () => null, renew: async () => false };

export function useCredentials(given: Credentials): void {
  credentials = given;
}

export interface Options {
  method?: string;
  body?: unknown;
  headers?: Record<string, string>;
  patienceMs?: number;
  signal?: AbortSignal;
  /** Without a token, and without a second try after a renewal. */
  bare?: boolean;
}

/** Throws Refusal or Unreachable. */
export async function ask<Answer>(path: string, options: Options = {}): Promise<Answer> {
  const used = credentials.token();
  try {
    return await once<Answer>(path, options, used);
  } catch (error) {
    if (options.bare || !(error instanceof Refusal) || error.status !== 401) throw error;
    // Another request may have renewed it meanwhile.
    if (credentials.token() === used && !(await credentials.renew())) throw error;
    return once<Answer>(path, options, credentials.token());
  }
}

/** All pages of a list. */
export async function askAll<Row>(path: string, taken?: (rows: Row[]) => void): Promise<Row[]> {
  const rows: Row[] = [];
  let cursor: string | null | undefined;
  do {
    const join = path.includes("?") ? "&" : "?";
    const after = cursor ? `&cursor=${encodeURIComponent(cursor)}` : "";
    const page = await ask<Page<Row>>(`${path}${join}limit=${PAGE_SIZE}${after}`);
    rows.push(...page.data);
    taken?.(page.data);
    cursor = page.next;
  } while (cursor);
  return rows;
}

async function once<Answer>(path: string, options: Options, token: string | null): Promise<Answer> {
  const headers: Record<string, string> = { Accept: "application/json", ...options.headers };
  if (options.body !== undefined) headers["Content-Type"] = "application/json";
  if (token && !options.bare) headers.Authorization = `Bearer ${token}`;
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), options.patienceMs ?? PATIENCE_MS);
  const abort = () => limit.abort();
  options.signal?.addEventListener("abort", abort);
  try {
    const response = await fetch(API + path, {
      method: options.method ?? "GET",
      headers,
      body: options.body === undefined ? undefined : JSON.stringify(options.body),
      signal: limit.signal,
      cache: "no-store",
    });
    const answer: unknown = response.status === 204 ? null : await response.json();
    awaySince.value = null;
    if (response.ok) return answer as Answer;
    throw refusalOf(response.status, answer);
  } catch (error) {
    if (error instanceof Refusal) throw error;
    if (!options.signal?.aborted) awaySince.value ??= Date.now();
    throw new Unreachable(String(error));
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener("abort", abort);
  }
}

function refusalOf(status: number, answer: unknown): Refusal {
  const found = (answer as { error?: { code?: string; message?: string; details?: Record<string, unknown> } } | null)?.error;
  return new Refusal(status, found?.code ?? `HTTP_${status}`, found?.message ?? `HTTP ${status}`, found?.details);
}
