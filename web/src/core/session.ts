/** Who is logged in. The access token lives in memory; the refresh token in a cookie that no script reads. */

import { computed, signal } from "@preact/signals";
import { ask, Refusal, useCredentials } from "./api";
import type { Role, Version } from "./types";

interface Session {
  access_token: string;
  expires_in: number;
  username: string;
  role: Role;
  stop_token: string | null;
}

export type Phase =
  | "starting"
  | "setup"
  | "out"
  | "in"
  /** Logged in until a moment ago: what is on the screen stays, and the log-in opens above it. */
  | "expired";

export const phase = signal<Phase>("starting");
export const person = signal<{ username: string; role: Role } | null>(null);
export const stopToken = signal<string | null>(null);
export const gateway = signal<Version | null>(null);
/** The page that the gateway had when this one was loaded. */
let firstPage: string | null = null;
export const isOld = computed(() => gateway.value !== null && firstPage !== null && gateway.value.page !== firstPage);
export const mayOperate = computed(() => person.value !== null && person.value.role !== "viewer");

let token: string | null = null;
let renewing: Promise<boolean> | null = null;
const others = typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel("godkaiser");

useCredentials({ token: () => token, renew });
others?.addEventListener("message", (event) => {
  if (event.data === "logged out") forget("out");
});

export function accessToken(): string | null {
  return token;
}

/** Ask the gateway what it is, and go on with the session of before if there is one. Throws Unreachable. */
export async function start(): Promise<void> {
  await readVersion();
  if (gateway.value?.setup !== "closed") {
    phase.value = "setup";
    return;
  }
  if (!(await renew()) && phase.value === "starting") phase.value = "out";
}

export async function readVersion(): Promise<void> {
  const found = await ask<Version>("/version", { bare: true });
  firstPage ??= found.page;
  gateway.value = found;
}

/** Throws Refusal, Unreachable. */
export async function logIn(username: string, password: string): Promise<void> {
  take(await ask<Session>("/auth/session", { method: "POST", body: { username, password }, bare: true }));
}

/** Throws Refusal, Unreachable. */
export async function setUp(username: string, password: string, setupToken: string): Promise<void> {
  const body = { username, password, setup_token: setupToken };
  await ask("/auth/setup", { method: "POST", body, bare: true });
  await logIn(username, password);
}

export async function logOut(): Promise<void> {
  try {
    await ask("/auth/session", { method: "DELETE", bare: true });
  } finally {
    forget("out");
    others?.postMessage("logged out");
  }
}

/** One renewal for all requests that want one. False: somebody has to log in. Throws Unreachable. */
export function renew(): Promise<boolean> {
  renewing ??= renewOnce().finally(() => {
    renewing = null;
  });
  return renewing;
}

async function renewOnce(): Promise<boolean> {
  try {
    const session = await ask<Session | null>("/auth/session/renewal", { method: "POST", bare: true });
    if (session) {
      take(session);
      return true;
    }
  } catch (error) {
    if (!(error instanceof Refusal) || error.status !== 401) throw error;
  }
  if (phase.value === "in") phase.value = "expired";
  token = null;
  return false;
}

function take(session: Session): void {
  token = session.access_token;
  person.value = { username: session.username, role: session.role };
  stopToken.value = session.stop_token;
  phase.value = "in";
}

function forget(next: Phase): void {
  token = null;
  person.value = null;
  stopToken.value = null;
  phase.value = next;
}
