/** The stop: a document of its own in a sandbox, so that it works while this page hangs. */

import { useEffect, useRef } from "preact/hooks";
import { isDark, language } from "../core/choices";
import { safety } from "../core/plant";
import { stopToken } from "../core/session";
import { words } from "../words/words";

export function StopFrame() {
  const frame = useRef<HTMLIFrameElement>(null);
  const token = stopToken.value;
  const chosen = { language: language.value, isDark: isDark.value };

  useEffect(() => {
    const tell = () => frame.current?.contentWindow?.postMessage({ kind: "know", token, ...chosen }, "*");
    const hear = (event: MessageEvent) => {
      if (event.source === frame.current?.contentWindow && event.data?.kind === "ready") tell();
    };
    addEventListener("message", hear);
    tell();
    return () => removeEventListener("message", hear);
  }, [token, chosen.language, chosen.isDark]);

  // What the page hears of a stop, the frame looks at: it has no live socket of its own.
  const heard = safety.value;
  useEffect(() => {
    frame.current?.contentWindow?.postMessage({ kind: "look" }, "*");
  }, [heard]);

  if (token === null) return null;
  return <iframe class="stop-frame" id="stop-frame" ref={frame} src="/stop" sandbox="allow-scripts" title={words.value.stopFrame} />;
}
