/** A command to an actuator: judged before it is pressed, and followed until the device has answered. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ask, Refusal } from "../core/api";
import { percent, span } from "../core/format";
import { actuatorName } from "../core/names";
import { actuatorKey, actuators, devices, readActuator, safety } from "../core/plant";
import { mayOperate } from "../core/session";
import type { Actuator, Check, Outcome, Verdict } from "../core/types";
import { ActionButton, Choice, Field, Foreign, Problem } from "../ui/parts";
import { saidOf, type Said } from "../words/server";
import { words } from "../words/words";

const WAIT_S = 10;
const JUDGE_AGAIN_MS = 5_000;
const TYPING_MS = 250;
const DURATIONS_S = [0, 30, 60, 300, 900, 3600];

interface Given {
  verdict: Verdict;
  outcome: Outcome | { state: string; message: string } | null;
}

async function give(actuator: Actuator, body: { command: string; value?: number; duration?: number }): Promise<Given> {
  const place = `/actuators/${encodeURIComponent(actuator.esp_id)}/${actuator.gpio}`;
  try {
    return await ask<Given>(`${place}/command?wait=${WAIT_S}`, {
      method: "POST",
      body,
      // A press that is sent twice by the network is carried out once.
      headers: { "Idempotency-Key": randomKey() },
      patienceMs: (WAIT_S + 5) * 1000,
    });
  } finally {
    void readActuator(actuator.esp_id, actuator.gpio).catch(() => undefined);
  }
}

function randomKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function OffButton({ actuator }: { actuator: Actuator }) {
  const text = words.value;
  if (!mayOperate.value) return null;
  return (
    <ActionButton
      act={async () => {
        await give(actuator, { command: "OFF" });
      }}
    >
      {text.switchOff}
      <span class="unseen"> {actuatorName(actuator)}</span>
    </ActionButton>
  );
}

export function CommandForm({ espId, gpio }: { espId: string; gpio: number }) {
  const text = words.value;
  const actuator = actuators.value?.get(actuatorKey(espId, gpio));
  const level = useSignal(0.5);
  const seconds = useSignal("0");
  const verdict = useSignal<Verdict | null>(null);
  const failed = useSignal<Said | null>(null);
  const given = useSignal<Given["outcome"] | "sending" | null>(null);
  const isPwm = actuator?.actuator_type === "pwm";

  // Whatever may change the verdict: what is asked for, the actuator, its device, the stops; and time.
  const depends = [level.value, seconds.value, actuator, devices.value?.get(espId), safety.value];
  useEffect(() => {
    const gone = new AbortController();
    const judge = async () => {
      const value = isPwm ? `&command=PWM&value=${level.peek()}` : "&command=ON";
      const duration = seconds.peek() === "0" ? "" : `&duration=${seconds.peek()}`;
      const place = `/actuators/${encodeURIComponent(espId)}/${gpio}/explain?${(value + duration).slice(1)}`;
      try {
        verdict.value = (await ask<{ verdict: Verdict }>(place, { signal: gone.signal })).verdict;
        failed.value = null;
      } catch (error) {
        if (!gone.signal.aborted) failed.value = saidOf(error);
      }
    };
    const soon = setTimeout(() => void judge(), TYPING_MS);
    const again = setInterval(() => void judge(), JUDGE_AGAIN_MS);
    return () => {
      gone.abort();
      clearTimeout(soon);
      clearInterval(again);
    };
  }, depends);

  if (!actuator) return null;
  if (!mayOperate.value) return <p class="faint">{text.noRights}</p>;

  const send = async (body: Parameters<typeof give>[1]) => {
    given.value = "sending";
    try {
      given.value = (await give(actuator, body)).outcome;
    } catch (error) {
      given.value = null;
      // The refusal carries the verdict: it is shown in the list of checks.
      if (error instanceof Refusal && error.details.verdict) verdict.value = error.details.verdict as Verdict;
      throw error;
    }
  };
  const duration = Number(seconds.value);
  const durations = DURATIONS_S.filter((one) => one === 0 || one < actuator.max_runtime_s);
  return (
    <div class="command">
      {isPwm && (
        <Field label={`${text.level}: ${percent(level.value)}`}>
          {(ids) => (
            <input
              {...ids}
              type="range"
              min={Math.max(actuator.min_value, 0.01)}
              max={actuator.max_value}
              step="0.01"
              value={level.value}
              onInput={(event) => (level.value = Number(event.currentTarget.value))}
            />
          )}
        </Field>
      )}
      <Choice
        label={text.duration}
        value={seconds.value}
        options={durations.map((one) => [String(one), one === 0 ? text.longest(span(actuator.max_runtime_s)) : span(one)] as const)}
        choose={(value) => {
          seconds.value = value;
        }}
      />
      <Judged verdict={verdict.value} />
      <Problem said={failed.value} />
      <div class="buttons">
        <ActionButton
          class="primary"
          disabled={verdict.value === null || !verdict.value.allowed}
          describedBy="verdict"
          act={() => send({ command: isPwm ? "PWM" : "ON", ...(isPwm && { value: level.value }), ...(duration > 0 && { duration }) })}
        >
          {isPwm ? text.setTo(percent(level.value)) : text.switchOn}
        </ActionButton>
        <ActionButton act={() => send({ command: "OFF" })}>{text.switchOff}</ActionButton>
        <span class="faint">{text.offAlways}</span>
      </div>
      <p role="status" class="outcome">
        {given.value === "sending" ? (
          text.sending
        ) : given.value ? (
          <>
            {text.outcomes[given.value.state] ?? given.value.state} {given.value.message && <Foreign text={given.value.message} class="faint" />}
          </>
        ) : null}
      </p>
    </div>
  );
}

/** The verdict that the command would get now, in words: first what stands against it. */
function Judged({ verdict }: { verdict: Verdict | null }) {
  const text = words.value;
  if (!verdict)
    return (
      <p id="verdict" class="faint">
        {text.judging}
      </p>
    );
  const against = verdict.checks.filter((check) => !check.passed);
  return (
    <div class={verdict.allowed ? "verdict good" : "verdict bad"}>
      <div id="verdict">
        {verdict.allowed ? (
          <p>
            {text.wouldPass(verdict.checks.length)} {verdict.lease_s > 0 && text.wouldEnd(span(verdict.lease_s))}
          </p>
        ) : (
          <>
            <p>{text.wouldFail}</p>
            <ul>
              {against.map((check) => (
                <CheckRow key={check.name} check={check} />
              ))}
            </ul>
          </>
        )}
      </div>
      <details>
        <summary>{text.allChecks}</summary>
        <ChecksList checks={verdict.checks} />
      </details>
    </div>
  );
}

export function ChecksList({ checks }: { checks: readonly Check[] }) {
  return (
    <ul class="checks">
      {checks.map((check) => (
        <CheckRow key={check.name} check={check} />
      ))}
    </ul>
  );
}

function CheckRow({ check }: { check: Check }) {
  const text = words.value;
  return (
    <li class={check.passed ? "passed" : "not-passed"}>
      <span class="unseen">{check.passed ? text.passed : text.failed}: </span>
      {text.checks[check.name] ?? check.name}
      {check.reason && (
        <>
          {": "}
          <Foreign text={check.reason} />
        </>
      )}
    </li>
  );
}
