/* What WebGL 2 needs to be told: shaders, arrays, textures. */
const VERTEX = `#version 300 es
in vec3 position; in vec3 normal; in vec3 color; in vec2 uv;
uniform mat4 clip; uniform mat3 view;
out vec3 n; out vec3 c; out vec2 t;
void main() { gl_Position = clip * vec4(position, 1.0); gl_PointSize = 9.0; n = view * normal; c = color; t = uv; }`;
const FRAGMENT = `#version 300 es
precision highp float;
in vec3 n; in vec3 c; in vec2 t;
uniform int mode; uniform vec3 flat_color; uniform sampler2D image;
out vec4 result;
float lamp(vec3 direction, vec3 normal) { return max(dot(normalize(direction), normal), 0.0); }
void main() {
  vec3 normal = normalize(gl_FrontFacing ? n : -n);
  vec3 rgb = flat_color;
  if (mode == 1) rgb = c;
  if (mode == 2) rgb = texture(image, t).rgb;
  if (mode == 3) rgb = normal * 0.5 + 0.5;
  if (mode == 4) {
    vec3 plaster = gl_FrontFacing ? vec3(0.93, 0.92, 0.89) : vec3(0.80, 0.32, 0.26);
    float light = 0.07 + 0.62 * lamp(vec3(-0.5, 0.7, 0.6), normal) + 0.16 * lamp(vec3(0.8, 0.1, 0.5), normal);
    rgb = sqrt(plaster * min(light, 1.0)) + 0.10 * pow(1.0 - abs(normal.z), 3.0);
  }
  result = vec4(rgb, 1.0);
}`;

function program(gl) {
  const made = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
    gl.attachShader(made, shader);
  }
  ["position", "normal", "color", "uv"].forEach((name, place) => gl.bindAttribLocation(made, place, name));
  gl.linkProgram(made);
  if (!gl.getProgramParameter(made, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(made));
  return made;
}

function arrays(gl, attributes, indices, usage) {
  const vao = gl.createVertexArray();
  gl.bindVertexArray(vao);
  attributes.forEach((data, place) => {
    if (!data) return;
    const size = [3, 3, 4, 2][place], isByte = data instanceof Uint8Array;
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, data, usage || gl.STATIC_DRAW);
    gl.enableVertexAttribArray(place);
    gl.vertexAttribPointer(place, size, isByte ? gl.UNSIGNED_BYTE : gl.FLOAT, isByte, 0, 0);
  });
  if (indices) {
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, indices, gl.STATIC_DRAW);
  }
  gl.bindVertexArray(null);
  return vao;
}

function imageOf(element) {
  return new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = () => reject(new Error("the texture cannot be decoded"));
    image.src = element.textContent.trim();
  });
}

function textureOf(gl, image) {
  const texture = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D, texture);
  if (!image) {
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, 1, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    return;
  }
  gl.pixelStorei(gl.UNPACK_FLIP_Y_WEBGL, true);
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGB, gl.RGB, gl.UNSIGNED_BYTE, image);
  gl.generateMipmap(gl.TEXTURE_2D);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR_MIPMAP_LINEAR);
}
