// Evaluates expressions with the reference implementation of JSONata. It reads a JSON object with `expressions` and
// `inputs`, and prints for each expression, for each input: {"value": ...}, or {"error": ...} where it fails or is
// undefined, which fails a state on AWS.
import { readFileSync } from "node:fs";
import jsonata from "jsonata";

// The function that Step Functions adds ("JSONata functions provided by Step Functions", Developer Guide).
function parse(text) {
  if (typeof text !== "string") throw new Error("$parse needs a string");
  return JSON.parse(text);
}

async function evaluate(expression, input) {
  try {
    const compiled = jsonata(expression);
    compiled.registerFunction("parse", parse);
    const value = await compiled.evaluate(undefined, input);
    return value === undefined ? { error: "undefined" } : { value };
  } catch (error) {
    return { error: String(error.message ?? error) };
  }
}

const { expressions, inputs } = JSON.parse(readFileSync(0, "utf8"));
const results = [];
for (const expression of expressions) {
  results.push(await Promise.all(inputs.map((input) => evaluate(expression, input))));
}
process.stdout.write(JSON.stringify(results));
