/** The live socket, and what stands in for it while it is away: asking again every few seconds. */

import { batch, signal } from "@preact/signals";
import { Refusal, Unreachable } from "./api";
import * as plant from "./plant";
import type { LiveEvent } from "./plant";
import { accessToken, phase, readVersion, renew } from "./session";

/** `live`: changes come by themselves. `asking`: they are asked for. */
export const connection = signal<"live" | "asking">("asking");

const ASK_EVERY_MS = 5_000;
const LOOK_EVERY_MS = 15_000;
const ALL_EVERY_MS = 60_000;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;
/** So many single rows are read again at once; beyond that the whole list is. */
const MOST_SINGLE = 20;
const GATHER_MS = 150;
const EXPIRED = 4403;
const UNKNOWN = 4401;

let socket: WebSocket | null = null;
let pauseMs = FIRST_PAUSE_MS;
let reconnect: number | undefined;
let lastAll = 0;
let lastLook = 0;
let isReading = false;
let runs = false;

const dirty = { devices: new Set<string>(), actuators: new Set<string>(), safety: false, health: false, sensors: false };
let gathering: number | undefined;

export function follow(): void {
  if (runs) return;
  runs = true;
  setInterval(() => void tick(), 1_000);
  addEventListener("online", () => hurry());
  // A phone that slept: timers stood still, and the socket may be gone without a word.
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") hurry();
  });
  phase.subscribe((value) => {
    if (value === "in") hurry();
    else drop();
  });
}

/** Read everything anew as soon as possible, and try the socket at once. */
export function hurry(): void {
  lastAll = 0;
  pauseMs = FIRST_PAUSE_MS;
  clearTimeout(reconnect);
  reconnect = undefined;
  void tick();
}

async function tick(): Promise<void> {
  if (phase.value !== "in") return;
  if (!socket && reconnect === undefined) connect();
  if (isReading || document.visibilityState === "hidden") return;
  const now = Date.now();
  const allEveryMs = connection.value === "live" ? ALL_EVERY_MS : ASK_EVERY_MS;
  isReading = true;
  try {
    if (now - lastAll >= allEveryMs) {
      lastAll = lastLook = now;
      await readVersion();
      await plant.readAll();
    } else if (now - lastLook >= LOOK_EVERY_MS) {
      lastLook = now;
      await plant.readHealth();
    }
  } catch (error) {
    // `awaySince` and the phase of the session tell it; the next turn tries again.
    if (!(error instanceof Refusal || error instanceof Unreachable)) throw error;
  } finally {
    isReading = false;
  }
}

function connect(): void {
  const token = accessToken();
  if (!token) return;
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const opened = new WebSocket(`${scheme}://${location.host}/ws`);
  socket = opened;
  opened.onopen = () => {
    opened.send(JSON.stringify({ token }));
    opened.send(JSON.stringify({}));
  };
  opened.onmessage = (message) => hear(opened, JSON.parse(String(message.data)));
  opened.onclose = (event) => {
    if (socket === opened) lost(event.code);
  };
}

function hear(from: WebSocket, message: { type: string; events?: LiveEvent[] }): void {
  if (socket !== from) return;
  if (message.type === "subscribed") {
    pauseMs = FIRST_PAUSE_MS;
    connection.value = "live";
    // What happened between the last reading and now.
    lastAll = 0;
    return;
  }
  batch(() => message.events?.forEach(take));
}

function take(event: LiveEvent): void {
  const [kind, espId, gpio] = event.topic.split("/");
  if (event.type === "reading") {
    if (!plant.takeReading(event)) dirty.sensors = true;
    else return;
  } else if (kind === "actuator" && espId) dirty.actuators.add(`${espId}/${gpio}`);
  else if (kind === "device" && espId) dirty.devices.add(espId);
  else if (kind === "safety") dirty.safety = true;
  else if (kind === "system") dirty.health = true;
  else return;
  gathering ??= setTimeout(() => void readDirty(), GATHER_MS);
}

async function readDirty(): Promise<void> {
  const changed = { ...dirty, devices: [...dirty.devices], actuators: [...dirty.actuators] };
  dirty.devices.clear();
  dirty.actuators.clear();
  dirty.safety = dirty.health = dirty.sensors = false;
  const reads: Promise<void>[] = [];
  if (changed.safety) reads.push(plant.readSafety());
  if (changed.health || changed.safety) reads.push(plant.readHealth());
  if (changed.sensors) reads.push(plant.readSensors());
  if (changed.devices.length > MOST_SINGLE) reads.push(plant.readDevices());
  else reads.push(...changed.devices.map(plant.readDevice));
  if (changed.actuators.length > MOST_SINGLE) reads.push(plant.readActuators());
  else
    reads.push(
      ...changed.actuators.map((key) => {
        const [espId = "", gpio = ""] = key.split("/");
        return plant.readActuator(espId, Number(gpio));
      }),
    );
  await Promise.allSettled(reads);
  gathering = undefined;
  if (dirty.devices.size || dirty.actuators.size || dirty.safety || dirty.health || dirty.sensors)
    gathering = setTimeout(() => void readDirty(), GATHER_MS);
}

function lost(code: number): void {
  socket = null;
  connection.value = "asking";
  if (phase.value !== "in") return;
  if (code === EXPIRED || code === UNKNOWN) renew().catch(() => undefined);
  reconnect = setTimeout(() => {
    reconnect = undefined;
  }, pauseMs * (0.5 + Math.random()));
  pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
}

function drop(): void {
  const closed = socket;
  socket = null;
  connection.value = "asking";
  closed?.close();
}
