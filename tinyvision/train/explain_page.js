"use strict";
// One number of a convolution as the sum that it is. The arrays are the engine's own, float32 in base64.

function unpacked([shape, text]) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  return { shape, numbers: new Float32Array(bytes.buffer) };
}

// The terms of output[filter, row, column]: for each tap of each input channel where it reads, what it finds, its weight.
function termsOf(data, filter, row, column) {
  const { shape: [C, H, W], numbers: x } = data.input;
  const { shape: [, , KH, KW], numbers: w } = data.weight;
  const terms = [];
  for (let c = 0; c < C; c++)
    for (let k = 0; k < KH; k++)
      for (let l = 0; l < KW; l++) {
        const h = row * data.stride[0] - data.padding[0] + k * data.dilation[0];
        const v = column * data.stride[1] - data.padding[1] + l * data.dilation[1];
        const inside = h >= 0 && h < H && v >= 0 && v < W;
        const found = inside ? x[(c * H + h) * W + v] : 0;
        terms.push({ c, k, l, h, v, found, weight: w[((filter * C + c) * KH + k) * KW + l] });
      }
  return terms;
}

function sumOf(data, filter, row, column) {
  const terms = termsOf(data, filter, row, column);
  return data.bias.numbers[filter] + terms.reduce((sum, t) => sum + t.found * t.weight, 0);
}

function loaded(json) {
  const data = JSON.parse(json);
  for (const name of ["input", "weight", "bias", "output"]) data[name] = unpacked(data[name]);
  return data;
}

function drawn(canvas, numbers, H, W, scale) {
  const context = canvas.getContext("2d");
  const largest = numbers.reduce((most, n) => Math.max(most, Math.abs(n)), 1e-30);
  canvas.width = W * scale;
  canvas.height = H * scale;
  for (let i = 0; i < H; i++)
    for (let j = 0; j < W; j++) {
      const n = numbers[i * W + j] / largest;
      const strength = Math.min(1, Math.abs(n));
      const [r, g, b] = n > 0 ? [230, 110, 20] : [40, 110, 220];
      const mixed = [r, g, b].map((v) => Math.round(255 - (255 - v) * strength));
      context.fillStyle = `rgb(${mixed})`;
      context.fillRect(j * scale, i * scale, scale, scale);
    }
  return context;
}

function start() {
  const data = loaded(document.getElementById("numbers").textContent);
  const at = (id) => document.getElementById(id);
  const [filter, plane, row, column] = ["filter", "plane", "row", "column"].map(at);
  const [C, H, W] = data.input.shape;
  const [, OH, OW] = data.output.shape;
  const [KH, KW] = data.weight.shape.slice(2);
  const scaleIn = Math.max(1, Math.floor(240 / Math.max(H, W)));
  const scaleOut = Math.max(1, Math.floor(240 / Math.max(OH, OW)));

  function show() {
    const [f, c, i, j] = [filter, plane, row, column].map((e) => Number(e.value));
    const result = data.output.numbers[(f * OH + i) * OW + j];
    const before = drawn(at("before"), data.input.numbers.subarray(c * H * W, (c + 1) * H * W), H, W, scaleIn);
    const after = drawn(at("after"), data.output.numbers.subarray(f * OH * OW, (f + 1) * OH * OW), OH, OW, scaleOut);
    const top = i * data.stride[0] - data.padding[0];
    const left = j * data.stride[1] - data.padding[1];
    for (const context of [before, after]) {
      context.strokeStyle = "#000";
      context.lineWidth = 2;
    }
    const height = (KH - 1) * data.dilation[0] + 1;
    const width = (KW - 1) * data.dilation[1] + 1;
    before.strokeRect(left * scaleIn, top * scaleIn, width * scaleIn, height * scaleIn);
    after.strokeRect(j * scaleOut - 1, i * scaleOut - 1, scaleOut + 2, scaleOut + 2);
    const terms = termsOf(data, f, i, j);
    const part = terms.filter((t) => t.c === c).reduce((sum, t) => sum + t.found * t.weight, 0);
    at("sum").textContent =
      `Row ${i}, column ${j} of filter ${data.channels[f]}: the ${terms.length} products and the bias ` +
      `${data.bias.numbers[f].toPrecision(5)} add up to ${sumOf(data, f, i, j).toPrecision(6)}; the engine has ` +
      `${result.toPrecision(6)}. Input channel ${c} gives ${part.toPrecision(5)} of it:`;
    const rows = [];
    for (let k = 0; k < KH; k++) {
      const cells = terms
        .filter((t) => t.c === c && t.k === k)
        .map((t) => `<td>${t.found.toPrecision(3)} · ${t.weight.toPrecision(3)}</td>`);
      rows.push(`<tr>${cells.join("")}</tr>`);
    }
    at("products").innerHTML = rows.join("");
  }

  for (const control of [filter, plane, row, column]) control.addEventListener("input", show);
  show();
}

if (typeof document !== "undefined") start();
