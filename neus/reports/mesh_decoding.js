/* From the bytes of a page to the arrays that WebGL draws. */
// ---- decoding: the layout is described in neus/reports/mesh_data.py ----
async function unpack(base64) {
  const text = atob(base64.trim()), packed = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) packed[i] = text.charCodeAt(i);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function decode(bytes, header) {
  const n = header.vertices, m3 = 3 * header.faces;
  let at = 0;
  const indices = new Uint32Array(m3);
  for (let i = 0, high = 0; i < m3; i++) {
    const code = bytes[i] + (bytes[i + m3] << 8) + (bytes[i + 2 * m3] << 16) + bytes[i + 3 * m3] * 16777216;
    indices[i] = high - code;
    if (code === 0) high++;
  }
  at += 4 * m3;
  const column = (out, stride, offset, scale, shift) => {
    for (let i = 0, value = 0; i < n; i++) {
      const zigzag = bytes[at + i] | (bytes[at + n + i] << 8);
      value = (value + ((zigzag >>> 1) ^ -(zigzag & 1))) & 65535;
      out[i * stride + offset] = value * scale + shift;
    }
    at += 2 * n;
  };
  const positions = new Float32Array(3 * n), normals = new Float32Array(3 * n);
  // From the middle of the box, so that float32 is enough wherever the world's origin is.
  for (let k = 0; k < 3; k++) column(positions, 3, k, header.step, (header.low[k] - header.high[k]) / 2);
  for (let i = 0; i < n; i++) {
    let x = bytes[at + i] / 127.5 - 1, y = bytes[at + n + i] / 127.5 - 1;
    const z = 1 - Math.abs(x) - Math.abs(y), fold = Math.max(-z, 0);
    x += x >= 0 ? -fold : fold; y += y >= 0 ? -fold : fold;
    const length = Math.hypot(x, y, z);
    normals[3 * i] = x / length; normals[3 * i + 1] = y / length; normals[3 * i + 2] = z / length;
  }
  at += 2 * n;
  let colors = null, uv = null;
  if (header.has_colors) {
    colors = new Uint8Array(4 * n).fill(255);
    for (let k = 0; k < 3; k++, at += n)
      for (let i = 0, value = 0; i < n; i++) colors[4 * i + k] = value = (value + bytes[at + i]) & 255;
  }
  if (header.has_uv) {
    uv = new Float32Array(2 * n);
    for (let k = 0; k < 2; k++) column(uv, 2, k, header.uv_step[k], header.uv_low[k]);
  }
  const frusta = new Float32Array(bytes.slice(at, at + 60 * header.cameras).buffer);
  return { indices, positions, normals, colors, uv, frusta };
}
