/** The stops that hold, device by device, and the way out of them. Nothing here starts anything. */

import { useSignal } from "@preact/signals";
import { ask } from "../core/api";
import { moment } from "../core/format";
import { issuerName, scopeName } from "../core/names";
import { readSafety } from "../core/plant";
import { mayOperate } from "../core/session";
import type { Stop } from "../core/types";
import { ActionButton, Foreign } from "../ui/parts";
import { words } from "../words/words";

/** What the API takes as the scope of `global`, `zone east` or `device ESP_A00001`. */
function bodyOf(scope: string): Record<string, string> {
  const at = scope.indexOf(" ");
  if (at === -1) return {};
  return scope.startsWith("zone ") ? { zone_id: scope.slice(at + 1) } : { esp_id: scope.slice(at + 1) };
}

export function StopPanel({ stop }: { stop: Stop }) {
  const text = words.value;
  const accept = useSignal(false);
  const isActive = stop.state === "active";
  const total = isActive ? stop.confirmed.length + stop.unconfirmed.length : stop.clearing.length;
  const open = isActive ? stop.unconfirmed : stop.clearing.filter((device) => !stop.confirmed.includes(device));
  const clear = async () => {
    await ask("/actuators/clear_emergency", { method: "POST", body: { ...bodyOf(stop.scope), accept_unconfirmed: accept.value } });
    await readSafety();
  };
  return (
    <li class="trouble bad">
      <h3 dir="auto">
        {text.stopActive(scopeName(stop.scope))} <span class="faint">({text.stopStates[stop.state] ?? stop.state})</span>
      </h3>
      <p dir="auto">{text.stoppedBy(issuerName(stop.by), stop.reason, moment(stop.since))}</p>
      {total > 0 && <p>{text.confirmedOf(stop.confirmed.length, total)}</p>}
      {open.length > 0 && (
        <p>
          {text.notConfirmed}: {open.slice(0, 20).join(", ")}
        </p>
      )}
      {isActive &&
        Object.entries(stop.cannot_confirm ?? {}).map(([device, reason]) => (
          <p key={device} class="faint">
            {device}: <Foreign text={reason} />
          </p>
        ))}
      {mayOperate.value && stop.state !== "resuming" && (
        <>
          {!isActive && open.length > 0 && (
            <label class="tick">
              <input type="checkbox" checked={accept.value} onChange={(event) => (accept.value = event.currentTarget.checked)} />
              <span>
                {text.acceptUnconfirmed}
                <span class="faint"> {text.acceptUnconfirmedAdvice}</span>
              </span>
            </label>
          )}
          {(isActive || accept.value) && (
            <p>
              <ActionButton act={clear}>{text.clearStop}</ActionButton> <span class="faint">{text.clearNothingStarts}</span>
            </p>
          )}
        </>
      )}
    </li>
  );
}

export function HeldAutomation({ scopes }: { scopes: readonly string[] }) {
  const text = words.value;
  return (
    <>
      {scopes.map((scope) => (
        <li class="trouble warn" key={scope}>
          <h3 dir="auto">
            {text.automationHeld}: {scopeName(scope)}
          </h3>
          <p>{text.automationHeldAdvice}</p>
          {mayOperate.value && (
            <ActionButton
              act={async () => {
                await ask("/actuators/resume", { method: "POST", body: bodyOf(scope) });
                await readSafety();
              }}
            >
              {text.resume}
            </ActionButton>
          )}
        </li>
      ))}
    </>
  );
}
