/* Shows a mesh: drawing, turning, measuring. No library, no network. */
const $ = (id) => document.getElementById(id);
const decoded = {};

// ---- small linear algebra; matrices are columns first ----
const sub = (a, b) => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
const add = (a, b, s = 1) => [a[0] + s * b[0], a[1] + s * b[1], a[2] + s * b[2]];
const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const columns = (matrix, v) => [0, 1, 2].map((k) => matrix[0][k] * v[0] + matrix[1][k] * v[1] + matrix[2][k] * v[2]);

async function show() {
  const canvas = $("mesh-canvas"), header = JSON.parse($("mesh-header").textContent);
  if (typeof DecompressionStream === "undefined") throw new Error("this browser cannot unpack the mesh (no DecompressionStream)");
  const gl = canvas.getContext("webgl2", { antialias: true, alpha: true, preserveDrawingBuffer: true });
  if (!gl) throw new Error("WebGL 2 is switched off or missing in this browser");
  const mesh = decode(await unpack($("mesh-data").textContent), header);
  Object.assign(decoded, mesh);
  const made = program(gl), place = (name) => gl.getUniformLocation(made, name);
  const uniforms = Object.fromEntries(["clip", "view", "mode", "flat_color", "image"].map((name) => [name, place(name)]));
  const surface = arrays(gl, [mesh.positions, mesh.normals, mesh.colors, mesh.uv], mesh.indices);
  const edges = [0, 1, 0, 2, 0, 3, 0, 4, 1, 2, 2, 3, 3, 4, 4, 1], lines = [];
  for (let c = 0; c < header.cameras; c++) edges.forEach((corner) => lines.push(5 * c + corner));
  const frusta = arrays(gl, [mesh.frusta], new Uint32Array(lines));
  const marks = gl.createVertexArray(), markBuffer = gl.createBuffer();
  gl.bindVertexArray(marks);
  gl.bindBuffer(gl.ARRAY_BUFFER, markBuffer);
  gl.enableVertexAttribArray(0);
  gl.vertexAttribPointer(0, 3, gl.FLOAT, false, 0, 0);
  gl.bindVertexArray(null);
  textureOf(gl, header.has_uv ? await imageOf($("mesh-texture")) : null);

  const extent = sub(header.high, header.low), radius = Math.max(Math.hypot(...extent) / 2, 1e-30);
  const tan = Math.tan((40 * Math.PI) / 360), home = { yaw: 0, pitch: 0.25, distance: radius / tan, target: [0, 0, 0] };
  const state = { ...home, mode: header.has_uv ? 2 : header.has_colors ? 1 : 4, cameras: false, measuring: false, marks: [] };
  // Page axes: right, up, towards the viewer, as rows along world axes.
  const axes = () => {
    const { yaw, pitch } = state, [cy, sy, cp, sp] = [Math.cos(yaw), Math.sin(yaw), Math.cos(pitch), Math.sin(pitch)];
    return [[cy, 0, -sy], [-sy * sp, cp, -cy * sp], [sy * cp, sp, cy * cp]].map((row) => columns(header.turn, row));
  };
  const eye = (view) => add(state.target, view[2], state.distance);

  function draw() {
    const scale = Math.min(window.devicePixelRatio || 1, 2), view = axes(), at = eye(view);
    const width = Math.max(1, Math.round(canvas.clientWidth * scale)), height = Math.max(1, Math.round(canvas.clientHeight * scale));
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    const reach = Math.hypot(...state.target) + radius * (state.cameras ? header.reach : 1);
    const near = Math.max(state.distance / 500, state.distance - reach), far = state.distance + reach;
    const fy = 1 / tan, fx = (fy * height) / width, a = -(far + near) / (far - near), b = (-2 * far * near) / (far - near);
    const shift = view.map((row) => -dot(row, at)), clip = new Float32Array(16);
    for (let k = 0; k < 4; k++) {
      const [x, y, z] = k < 3 ? view.map((row) => row[k]) : shift;
      clip.set([fx * x, fy * y, a * z + (k === 3 ? b : 0), -z], 4 * k);
    }
    gl.viewport(0, 0, width, height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.enable(gl.DEPTH_TEST);
    gl.useProgram(made);
    gl.uniformMatrix4fv(uniforms.clip, false, clip);
    gl.uniformMatrix3fv(uniforms.view, false, [0, 1, 2].flatMap((k) => view.map((row) => row[k])));
    gl.uniform1i(uniforms.image, 0);
    gl.uniform1i(uniforms.mode, state.mode);
    gl.bindVertexArray(surface);
    gl.drawElements(gl.TRIANGLES, mesh.indices.length, gl.UNSIGNED_INT, 0);
    gl.uniform1i(uniforms.mode, 0);
    if (state.cameras && lines.length) {
      gl.uniform3f(uniforms.flat_color, 0.3, 0.53, 0.84);
      gl.bindVertexArray(frusta);
      gl.drawElements(gl.LINES, lines.length, gl.UNSIGNED_INT, 0);
    }
    if (state.marks.length) {
      gl.disable(gl.DEPTH_TEST);
      gl.uniform3f(uniforms.flat_color, 0.95, 0.35, 0.1);
      gl.bindVertexArray(marks);
      gl.bindBuffer(gl.ARRAY_BUFFER, markBuffer);
      gl.bufferData(gl.ARRAY_BUFFER, new Float32Array(state.marks.flat()), gl.DYNAMIC_DRAW);
      gl.drawArrays(gl.POINTS, 0, state.marks.length);
      if (state.marks.length === 2) gl.drawArrays(gl.LINES, 0, 2);
    }
    gl.bindVertexArray(null);
  }
  let isWaiting = false;
  const redraw = () => {
    if (isWaiting) return;
    isWaiting = true;
    requestAnimationFrame(() => { isWaiting = false; draw(); });
  };

  // The foremost point of the surface under a place of the canvas, from the middle of the box; null beside it.
  function pick(x, y) {
    const box = canvas.getBoundingClientRect(), view = axes(), origin = eye(view);
    const right = (2 * (x - box.left) / box.width - 1) * tan * box.width / box.height;
    const up = (1 - 2 * (y - box.top) / box.height) * tan;
    const direction = add(add(view[0].map((v) => v * right), view[1], up), view[2], -1);
    const p = mesh.positions, at = (i) => [p[3 * i], p[3 * i + 1], p[3 * i + 2]];
    let best = Infinity;
    for (let i = 0; i < mesh.indices.length; i += 3) {  // Moeller and Trumbore 1997
      const start = at(mesh.indices[i]), e1 = sub(at(mesh.indices[i + 1]), start), e2 = sub(at(mesh.indices[i + 2]), start);
      const h = cross(direction, e2), det = dot(e1, h);
      if (det === 0) continue;
      const s = sub(origin, start), u = dot(s, h) / det;
      if (u < 0 || u > 1) continue;
      const q = cross(s, e1), v = dot(direction, q) / det;
      if (v < 0 || u + v > 1) continue;
      const t = dot(e2, q) / det;
      if (t > 0 && t < best) best = t;
    }
    return best < Infinity ? add(origin, direction, best) : null;
  }

  const say = (text) => { $("mesh-status").textContent = text; };
  const digits = (value) => Number(value.toPrecision(4)).toString();
  function measure(x, y) {
    const hit = pick(x, y);
    if (!hit) return say("No surface there; click on the mesh.");
    if (state.marks.length === 2) state.marks = [];
    state.marks.push(hit);
    const world = hit.map((value, k) => digits(value + (header.low[k] + header.high[k]) / 2)).join(", ");
    if (state.marks.length === 1) say(`(${world}); click on the second point.`);
    else {
      const length = Math.hypot(...sub(...state.marks)), metres = header.metres ? ` = ${digits(length * header.metres)} m` : "";
      say(`${digits(length)} world units${metres}`);
    }
    redraw();
  }

  const turn = (dx, dy) => {
    state.yaw -= dx * 0.008;
    state.pitch = Math.max(-1.57, Math.min(1.57, state.pitch + dy * 0.008));
  };
  const pan = (dx, dy) => {
    const view = axes(), unit = (2 * tan * state.distance) / canvas.clientHeight;
    state.target = add(add(state.target, view[0], -dx * unit), view[1], dy * unit);
  };
  const zoom = (factor) => { state.distance = Math.max(radius * 1e-3, Math.min(radius * 60, state.distance * factor)); };
  const center = (x, y) => { const hit = pick(x, y); if (hit) state.target = hit; redraw(); };

  // ---- mouse and touch ----
  const pointers = new Map();
  let moved = 0, lastTap = null;
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, [event.clientX, event.clientY]);
    if (pointers.size === 1) moved = 0; else moved = Infinity;
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const now = [event.clientX, event.clientY], dx = now[0] - before[0], dy = now[1] - before[1];
    moved += Math.abs(dx) + Math.abs(dy);
    if (pointers.size === 2) {
      const other = [...pointers].find(([id]) => id !== event.pointerId)[1];
      const gap = (point) => Math.max(Math.hypot(point[0] - other[0], point[1] - other[1]), 1);
      zoom(gap(before) / gap(now));
      pan(dx / 2, dy / 2);
    } else if (event.buttons & 6 || event.shiftKey) pan(dx, dy);
    else turn(dx, dy);
    pointers.set(event.pointerId, now);
    redraw();
  });
  const lift = (event) => {
    const wasAlone = pointers.size === 1 && pointers.delete(event.pointerId);
    pointers.delete(event.pointerId);
    if (!wasAlone || moved > 6 || event.type !== "pointerup") return;
    const [x, y] = [event.clientX, event.clientY];
    const isDouble = lastTap && event.timeStamp - lastTap[2] < 350 && Math.hypot(x - lastTap[0], y - lastTap[1]) < 24;
    lastTap = isDouble ? null : [x, y, event.timeStamp];
    if (state.measuring) measure(x, y);
    else if (isDouble) center(x, y);
  };
  canvas.addEventListener("pointerup", lift);
  canvas.addEventListener("pointercancel", lift);
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(event.deltaY * (event.deltaMode ? 0.04 : 0.0015)));
    redraw();
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const keys = { ArrowLeft: () => turn(-20, 0), ArrowRight: () => turn(20, 0), ArrowUp: () => turn(0, -20),
      ArrowDown: () => turn(0, 20), "+": () => zoom(0.9), "-": () => zoom(1.1) };
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
    redraw();
  });

  // ---- buttons ----
  const press = (button, isOn) => button.setAttribute("aria-pressed", String(isOn));
  const modes = { color: header.has_uv ? 2 : 1, normals: 3, matcap: 4 };
  const chooseMode = (name) => {
    state.mode = modes[name];
    for (const other of Object.keys(modes)) press($(`mode-${other}`), other === name);
    redraw();
  };
  for (const name of Object.keys(modes)) $(`mode-${name}`).onclick = () => chooseMode(name);
  if (!header.has_uv && !header.has_colors) $("mode-color").disabled = true;
  const toggle = (id, key) => { $(id).onclick = () => { state[key] = !state[key]; press($(id), state[key]); redraw(); }; };
  toggle("show-cameras", "cameras");
  $("show-cameras").disabled = !header.cameras;
  $("measure").onclick = () => {
    state.measuring = !state.measuring;
    state.marks = [];
    press($("measure"), state.measuring);
    say(state.measuring ? "Click on two points of the surface." : "");
    redraw();
  };
  $("home").onclick = () => { Object.assign(state, home, { marks: [] }); say(""); redraw(); };
  $("theme").onclick = () => {
    const root = document.documentElement, isDark = getComputedStyle(root).getPropertyValue("--is-dark").trim() === "1";
    root.dataset.theme = isDark ? "light" : "dark";
  };
  $("whole-screen").onclick = () => (document.fullscreenElement ? document.exitFullscreen() : $("mesh-viewer").requestFullscreen());
  new ResizeObserver(redraw).observe(canvas);
  canvas.addEventListener("webglcontextlost", (event) => { event.preventDefault(); fail(new Error("the graphics card gave up")); });

  $("mesh-viewer").hidden = false;
  $("mesh-still").hidden = true;
  chooseMode(header.has_uv || header.has_colors ? "color" : "matcap");
  draw();
  Object.assign(decoded, { state, pick, measure, draw, ready: true });
}

function fail(error) {
  $("mesh-viewer").hidden = true;
  $("mesh-still").hidden = false;
  $("mesh-why").textContent = `The mesh cannot be turned here: ${error.message}. Open the page in a current browser; its six sides are below.`;
  decoded.error = error.message;
}
window.neusMesh = decoded;
show().catch(fail);
