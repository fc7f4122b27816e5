// Text that a person reads stands in the dictionaries: no letters between tags, none in attributes that are read aloud.
import ts from "typescript";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

const READ_ALOUD = new Set(["aria-label", "alt", "label", "placeholder", "title"]);
let problems = 0;

for (const path of filesIn("src").filter((name) => name.endsWith(".tsx"))) {
  const file = ts.createSourceFile(path, readFileSync(path, "utf8"), ts.ScriptTarget.Latest, true, ts.ScriptKind.TSX);
  visit(file, file);
}
process.exit(problems ? 1 : 0);

function visit(node, file) {
  if (ts.isJsxText(node) && /\p{L}/u.test(node.text)) tell(node, file, node.text.trim());
  if (
    ts.isJsxAttribute(node) &&
    READ_ALOUD.has(node.name.getText(file)) &&
    node.initializer &&
    ts.isStringLiteral(node.initializer) &&
    /\p{L}/u.test(node.initializer.text)
  )
    tell(node, file, node.initializer.text);
  ts.forEachChild(node, (child) => visit(child, file));
}

function tell(node, file, text) {
  const { line } = file.getLineAndCharacterOfPosition(node.getStart(file));
  console.error(`${file.fileName}:${line + 1}: "${text}" belongs into src/words/en.ts and de.ts`);
  problems += 1;
}

function filesIn(folder) {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? filesIn(path) : [path];
  });
}
