/** A question above the page. The browser keeps the focus inside, and gives it back. */

import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";

export function Dialog({
  heading,
  close,
  children,
}: {
  heading: string;
  /** Missing: it cannot be dismissed. */
  close?: () => void;
  children: ComponentChildren;
}) {
  const id = useId();
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const opened = dialog.current;
    opened?.showModal();
    return () => opened?.close();
  }, []);
  return (
    <dialog
      ref={dialog}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        close?.();
      }}
    >
      <h2 id={id} dir="auto">
        {heading}
      </h2>
      {children}
    </dialog>
  );
}
