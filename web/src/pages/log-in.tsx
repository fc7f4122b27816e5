/** Log-in, and the first start of a gateway that has no administrator yet. */

import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { gateway, logIn, setUp } from "../core/session";
import { Field, Problem, Title } from "../ui/parts";
import { saidOf, type Said } from "../words/server";
import { words } from "../words/words";
import { LanguageChoice } from "./settings";

export function LogInPage() {
  return (
    <Outside heading={words.value.logIn}>
      <LogInForm username="" />
      <p class="faint">{words.value.forgotPassword}</p>
    </Outside>
  );
}

export function SetUpPage() {
  const text = words.value;
  return (
    <Outside heading={text.welcome}>
      <p>{text.setUpIntro}</p>
      <SetUpForm needsToken={gateway.value?.setup === "token"} />
    </Outside>
  );
}

function Outside({ heading, children }: { heading: string; children: ComponentChildren }) {
  const text = words.value;
  return (
    <div class="outside">
      <main class="card narrow">
        <p class="brand">{text.product}</p>
        <Title>{heading}</Title>
        {children}
        <p class="faint">{text.stopNeedsLogIn}</p>
        <LanguageChoice />
      </main>
    </div>
  );
}

export function LogInForm({ username, done }: { username: string; done?: () => void }) {
  const text = words.value;
  const failed = useSignal<Said | null>(null);
  const busy = useSignal(false);
  const name = useRef<HTMLInputElement>(null);
  const secret = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (username) secret.current?.focus();
    else name.current?.focus();
  }, []);
  const send = async (event: Event) => {
    event.preventDefault();
    if (busy.value) return;
    busy.value = true;
    failed.value = null;
    try {
      await logIn(name.current?.value ?? "", secret.current?.value ?? "");
      done?.();
    } catch (error) {
      failed.value = saidOf(error);
      secret.current?.select();
    } finally {
      busy.value = false;
    }
  };
  return (
    <form onSubmit={(event) => void send(event)}>
      <Field label={text.username}>
        {(ids) => (
          <input {...ids} ref={name} name="username" defaultValue={username} autocomplete="username" autocapitalize="none" spellcheck={false} maxLength={128} required />
        )}
      </Field>
      <Field label={text.password}>
        {(ids) => <input {...ids} ref={secret} name="password" type="password" autocomplete="current-password" maxLength={4096} required />}
      </Field>
      <Problem said={failed.value} />
      <button class="primary wide" aria-busy={busy.value}>
        {busy.value ? text.loggingIn : text.logIn}
      </button>
    </form>
  );
}

function SetUpForm({ needsToken }: { needsToken: boolean }) {
  const text = words.value;
  const failed = useSignal<Said | null>(null);
  const busy = useSignal(false);
  const form = useRef<HTMLFormElement>(null);
  const send = async (event: Event) => {
    event.preventDefault();
    if (busy.value || !form.current) return;
    const given = new FormData(form.current);
    const [name, secret, again, token] = ["username", "password", "again", "token"].map((field) => String(given.get(field) ?? ""));
    if (secret !== again) {
      failed.value = { text: text.passwordsDiffer };
      return;
    }
    busy.value = true;
    failed.value = null;
    try {
      await setUp(name ?? "", secret ?? "", (token ?? "").trim());
    } catch (error) {
      failed.value = saidOf(error);
    } finally {
      busy.value = false;
    }
  };
  return (
    <form ref={form} onSubmit={(event) => void send(event)}>
      {needsToken && (
        <Field label={text.setUpToken} advice={text.setUpTokenAdvice}>
          {(ids) => <input {...ids} name="token" autocomplete="off" spellcheck={false} maxLength={100} required />}
        </Field>
      )}
      <Field label={text.username}>
        {(ids) => <input {...ids} name="username" autocomplete="username" autocapitalize="none" spellcheck={false} maxLength={128} required />}
      </Field>
      <Field label={text.password} advice={text.passwordAdvice}>
        {(ids) => <input {...ids} name="password" type="password" autocomplete="new-password" minLength={8} maxLength={72} required />}
      </Field>
      <Field label={text.repeatPassword}>
        {(ids) => <input {...ids} name="again" type="password" autocomplete="new-password" required />}
      </Field>
      <Problem said={failed.value} />
      <button class="primary wide" aria-busy={busy.value}>
        {text.createAdministrator}
      </button>
    </form>
  );
}
