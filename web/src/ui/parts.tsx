/** The small parts that every page is made of. */

import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { levelName } from "../core/names";
import type { Actuator, Device } from "../core/types";
import { said, saidOf, type Said } from "../words/server";
import { words } from "../words/words";

export type Tone = "good" | "warn" | "bad" | "calm" | "on";

/** The heading of a page: it takes the focus when the page opens, so that it is read aloud. */
export function Title({ children, side }: { children: ComponentChildren; side?: ComponentChildren }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    heading.current?.focus({ preventScroll: true });
    scrollTo(0, 0);
  }, []);
  useEffect(() => {
    document.title = `${heading.current?.textContent ?? ""} · ${words.value.product}`;
  });
  return (
    <div class="title">
      <h1 tabIndex={-1} ref={heading} dir="auto">
        {children}
      </h1>
      {side}
    </div>
  );
}

export function Card({ heading, side, children }: { heading: string; side?: ComponentChildren; children: ComponentChildren }) {
  const id = useId();
  return (
    <section class="card" aria-labelledby={id}>
      <div class="card-head">
        <h2 id={id}>{heading}</h2>
        {side}
      </div>
      {children}
    </section>
  );
}

export function Chip({ tone, children }: { tone: Tone; children: ComponentChildren }) {
  return <span class={`chip ${tone}`}>{children}</span>;
}

export function Empty({ text, advice }: { text: string; advice?: string }) {
  return (
    <div class="empty">
      <p>{text}</p>
      {advice && <p class="faint">{advice}</p>}
    </div>
  );
}

export function Loading() {
  return (
    <p class="empty faint" role="status">
      {words.value.loading}
    </p>
  );
}

/** Text from the gateway: never interpreted, isolated in its direction, and marked where its language differs. */
export function Foreign({ text, class: name }: { text: string; class?: string }) {
  const found = said(text);
  return (
    <bdi class={name} lang={found.lang}>
      {found.text}
    </bdi>
  );
}

export function Problem({ said: found }: { said: Said | null }) {
  if (!found) return null;
  return (
    <p class="problem" role="alert">
      <span lang={found.lang}>{found.text}</span>
    </p>
  );
}

/** A button whose press takes a moment: it cannot be pressed twice, and says what went wrong. */
export function ActionButton({
  act,
  children,
  class: name = "",
  disabled = false,
  describedBy,
}: {
  act: () => Promise<void>;
  children: ComponentChildren;
  class?: string;
  disabled?: boolean;
  describedBy?: string;
}) {
  const busy = useSignal(false);
  const failed = useSignal<Said | null>(null);
  const press = async () => {
    if (busy.value) return;
    busy.value = true;
    failed.value = null;
    try {
      await act();
    } catch (error) {
      failed.value = saidOf(error);
    } finally {
      busy.value = false;
    }
  };
  return (
    <>
      <button type="button" class={name} disabled={disabled} aria-busy={busy.value} aria-describedby={describedBy} onClick={() => void press()}>
        {children}
      </button>
      <Problem said={failed.value} />
    </>
  );
}

export function Field({
  label,
  advice,
  children,
}: {
  label: string;
  advice?: string;
  children: (ids: { id: string; "aria-describedby": string | undefined }) => ComponentChildren;
}) {
  const id = useId();
  const described = advice ? `${id}-advice` : undefined;
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children({ id, "aria-describedby": described })}
      {advice && (
        <p class="faint" id={described}>
          {advice}
        </p>
      )}
    </div>
  );
}

export function Facts({ rows }: { rows: [string, ComponentChildren][] }) {
  return (
    <dl class="facts">
      {rows.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** Several choices of which one holds. */
export function Choice<Value extends string>({
  label,
  value,
  options,
  choose,
}: {
  label: string;
  value: Value;
  options: readonly (readonly [Value, string])[];
  choose: (value: Value) => void;
}) {
  const name = useId();
  return (
    <fieldset class="choice">
      <legend>{label}</legend>
      <div>
        {options.map(([option, text]) => (
          <label key={option} class={option === value ? "chosen" : ""}>
            <input type="radio" name={name} value={option} checked={option === value} onChange={() => choose(option)} />
            {text}
          </label>
        ))}
      </div>
    </fieldset>
  );
}

export function DeviceState({ device }: { device: Device }) {
  if (device.status !== "approved") {
    const tone = device.status === "rejected" ? "calm" : "warn";
    return <Chip tone={tone}>{words.value.approvals[device.status] ?? device.status}</Chip>;
  }
  return device.online ? <Chip tone="good">{words.value.online}</Chip> : <Chip tone="bad">{words.value.offline}</Chip>;
}

export function Level({ actuator }: { actuator: Actuator }) {
  const value = actuator.reported_value;
  return <Chip tone={value === null ? "warn" : value > 0 ? "on" : "calm"}>{levelName(value)}</Chip>;
}
