// Builds the page into godkaiser/dashboard/static: unminified, so that a change of it can be read.
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, "..", "godkaiser", "dashboard", "static");

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
cpSync(join(here, "html"), out, { recursive: true });
await build({
  entryPoints: {
    app: join(here, "src", "main.tsx"),
    stop: join(here, "src", "stop", "stop.ts"),
    "app-style": join(here, "src", "style", "app.css"),
    "stop-style": join(here, "src", "style", "stop.css"),
  },
  absWorkingDir: here,
  outdir: out,
  bundle: true,
  format: "iife",
  target: ["chrome109", "firefox115", "safari16"],
  jsx: "automatic",
  jsxImportSource: "preact",
  charset: "utf8",
  legalComments: "inline",
});
// What the tests compare with the sources: they need no node to see that the build is old.
writeFileSync(join(out, "sources.txt"), `${digestOf(here)}\n`);

function digestOf(folder) {
  const hash = createHash("sha256");
  for (const path of ["build.mjs", "package-lock.json", ...filesIn(join(folder, "html")), ...filesIn(join(folder, "src"))].sort()) {
    hash.update(path).update("\0").update(readFileSync(join(folder, path))).update("\0");
  }
  return hash.digest("hex");
}

function filesIn(folder) {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? filesIn(path) : [relative(here, path).replaceAll("\\", "/")];
  });
}
