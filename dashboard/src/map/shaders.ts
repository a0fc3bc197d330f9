/** Points as arrows, discs, squares, diamonds and alert marks, cut from signed distances. */
export const VERTEX = `#version 300 es
precision highp float;
layout(location = 0) in vec4 place;
layout(location = 1) in vec3 motion;
layout(location = 2) in vec4 code;
uniform mat4 matrix;
uniform float now, glide, stale, gone, bearing, urgent;
uniform vec2 sizes;
uniform vec3 palette[5];
flat out vec3 colour;
flat out float turn, level, headless, emphasis;
out float pixels;
void main() {
  float age = now - motion.y;
  float state = age > stale ? 4.0 : code.x;
  bool hot = state == 2.0 || state == 3.0;
  bool hidden = code.z < 0.5 || (gone > 0.0 && age > gone) || (urgent < 1.5 && hot != (urgent > 0.5));
  float part = glide > 0.0 && distance(place.xy, place.zw) < 5e-5 ? clamp((now - motion.z) / glide, 0.0, 1.0) : 1.0;
  vec2 at = mix(place.xy, place.zw, part);
  gl_Position = hidden ? vec4(2.0, 2.0, 2.0, 1.0) : matrix * vec4(at, 0.0, 1.0);
  gl_PointSize = hot ? sizes.y : sizes.x;
  pixels = gl_PointSize;
  colour = palette[int(state)];
  headless = isnan(motion.x) ? 1.0 : 0.0;
  turn = isnan(motion.x) ? 0.0 : motion.x - bearing;
  level = code.y / 255.0;
  emphasis = code.w;
}`;

export const FRAGMENT = `#version 300 es
precision highp float;
uniform int glyph;
flat in vec3 colour;
flat in float turn, level, headless, emphasis;
in float pixels;
out vec4 paint;
float arrow(vec2 p) {
  p.x = abs(p.x);
  return max(dot(p - vec2(0.0, -0.95), vec2(0.919, -0.394)), dot(p - vec2(0.0, 0.55), vec2(-0.316, 0.949)));
}
float triangle(vec2 p) {
  p.x = abs(p.x);
  return max(dot(p - vec2(0.0, -0.9), vec2(0.866, -0.5)), p.y - 0.6);
}
void main() {
  vec2 p = gl_PointCoord * 2.0 - 1.0;
  float soft = 2.0 / pixels;
  float d;
  if (glyph == 0 && headless < 0.5 && pixels > 4.5) {
    float c = cos(turn), s = sin(turn);
    d = arrow(vec2(c * p.x + s * p.y, c * p.y - s * p.x));
  } else if (glyph == 2) d = max(abs(p.x), abs(p.y)) - 0.82;
  else if (glyph == 3) d = (abs(p.x) + abs(p.y) - 0.95) * 0.707;
  else if (glyph == 5) d = max(abs(p.x), abs(p.y)) - 0.8;
  else if (glyph == 6) d = triangle(p);
  else d = length(p) - (glyph == 0 || glyph == 4 ? 0.62 : 0.88);
  float cover = 1.0 - smoothstep(-soft, 0.0, d);
  if (cover <= 0.0) discard;
  if (glyph >= 5) {
    float line = (2.0 + 1.4 * emphasis) * soft;
    float edge = smoothstep(-line - soft, -line, d);
    vec3 stroke = emphasis > 0.5 ? vec3(1.0) : colour;
    float alpha = cover * mix(0.22, 1.0, edge);
    paint = vec4(mix(colour, stroke, edge) * alpha, alpha);
    return;
  }
  if (glyph == 1 || glyph == 2 || glyph == 3) {
    float rim = smoothstep(-1.6 * soft - soft, -1.6 * soft, d);
    float filled = step(1.0 - 2.0 * level, p.y);
    vec3 inside = mix(vec3(0.05, 0.09, 0.16), colour * 0.72, filled);
    float alpha = cover * mix(0.85, 1.0, rim);
    paint = vec4(mix(inside, colour, rim) * alpha, alpha);
    return;
  }
  float rim = pixels > 11.0 ? smoothstep(-1.5 * soft, -0.6 * soft, d) : 0.0;
  float alpha = cover * 0.95;
  paint = vec4(mix(colour, vec3(0.03, 0.06, 0.11), rim * 0.7) * alpha, alpha);
}`;
