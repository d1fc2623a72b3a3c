"""The page at /docs: a script of our own draws the OpenAPI document, since tenantry loads nothing from elsewhere."""

DOCS_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>tenantry: HTTP API</title>
<style>
:root { color-scheme: light dark; --soft: color-mix(in srgb, currentColor 8%, transparent); }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
section { border: 1px solid var(--soft); border-radius: .6rem; padding: .2rem 1.2rem 1rem; margin: 1.2rem 0; }
h2 { font-size: 1.05rem; font-family: ui-monospace, monospace; overflow-wrap: anywhere; }
.method { background: var(--soft); border-radius: .3rem; padding: .1rem .5rem; margin-right: .5rem; }
table { border-collapse: collapse; width: 100%; }
td { border-top: 1px solid var(--soft); padding: .35rem .6rem .35rem 0; vertical-align: top; }
td:first-child { font-family: ui-monospace, monospace; width: 4rem; }
pre { background: var(--soft); border-radius: .4rem; padding: .7rem; overflow-x: auto; font-size: .85rem; }
</style>
</head>
<body>
<h1>tenantry: HTTP API</h1>
<p id="about">Loading <a href="/openapi.json">/openapi.json</a> …</p>
<main id="paths"></main>
<script>
const make = (tag, text, parent, name) => {
  const node = document.createElement(tag);
  if (text) node.textContent = text;
  if (name) node.className = name;
  if (parent) parent.append(node);
  return node;
};
const draw = (document_) => {
  const { description, version } = document_.info;
  document.getElementById("about").textContent = `${description} Version ${version}.`;
  const main = document.getElementById("paths");
  for (const [path, operations] of Object.entries(document_.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      const section = make("section", "", main);
      const title = make("h2", "", section);
      make("span", method.toUpperCase(), title, "method");
      title.append(path);
      make("p", operation.description || operation.summary, section);
      const body = operation.requestBody?.content?.["application/json"]?.examples;
      for (const example of Object.values(body || {})) {
        make("pre", JSON.stringify(example.value, null, 2), section);
      }
      for (const parameter of operation.parameters || []) {
        make("p", `${parameter.name} (${parameter.in}): ${parameter.description}`, section);
      }
      const table = make("table", "", section);
      for (const [status, answer] of Object.entries(operation.responses)) {
        const row = make("tr", "", table);
        make("td", status, row);
        make("td", answer.description, row);
      }
    }
  }
};
fetch("/openapi.json").then((answer) => answer.json()).then(draw);
</script>
</body>
</html>
"""
