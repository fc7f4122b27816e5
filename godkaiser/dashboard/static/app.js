"use strict";
(() => {
  // node_modules/preact/dist/preact.mjs
  var n;
  var t;
  var r;
  var u;
  var i;
  var f;
  var o;
  var e;
  var l;
  var c;
  var a;
  var s;
  var h = /* @__PURE__ */ Symbol.for("pv");
  var p = {};
  var y = [];
  var v = /^m(i|n|o|s|text|space)$/;
  var w = Array.isArray;
  var d = y.slice;
  var _ = Object.assign;
  function g(n3) {
    n3 && n3.parentNode && n3.remove();
  }
  function k(n3, t4, r4) {
    var u4, i4, f5, o5 = {}, e4 = arguments.length;
    for (f5 in t4) "key" == f5 ? u4 = t4[f5] : "ref" == f5 && "function" != typeof n3 ? i4 = t4[f5] : o5[f5] = t4[f5];
    return e4 > 2 && (o5.children = e4 > 3 ? d.call(arguments, 2) : r4), m(n3, o5, u4, i4, null);
  }
  function m(r4, u4, i4, f5, o5) {
    var e4 = { type: r4, props: u4, key: i4, ref: f5, __k: null, __: null, __b: 0, __e: null, __c: null, constructor: h, __v: o5 || ++t, __i: -1, __u: 0 };
    return !o5 && n.vnode && n.vnode(e4), e4;
  }
  function $(n3) {
    return n3.children;
  }
  function x(n3, t4) {
    this.props = n3, this.context = t4, this.__g = 0;
  }
  function S(n3, t4) {
    if (null == t4) return n3.__ && S(n3.__, n3.__i + 1);
    for (var r4; t4 < n3.__k.length; t4++) if ((r4 = n3.__k[t4]) && r4.__e) return r4.__e;
    return "function" != typeof n3.type || n3.props.__P ? null : S(n3);
  }
  function C(t4) {
    var r4, u4 = t4.__v, i4 = u4.__e, f5 = [], o5 = [], e4 = t4.__P;
    e4 && ((r4 = _({ constructor: h }, u4)).__v = u4.__v + 1, n.vnode && n.vnode(r4), z(e4, r4, u4, t4.__n, e4.namespaceURI, 32 & u4.__u ? [i4] : null, f5, i4 || S(u4), 32 & u4.__u, o5), r4.__v = u4.__v, r4.__.__k[r4.__i] = r4, E(f5, r4, o5), u4.__ = u4.__e = null, r4.__e != i4 && j(r4));
  }
  function j(n3) {
    if ((n3 = n3.__) && n3.__c && !n3.props.__P) return n3.__e = null, n3.__k.some(function(t4) {
      return t4 && (n3.__e = t4.__e);
    }), j(n3);
  }
  function L(t4) {
    (8 & t4.__g || (t4.__g |= 8, u.push(t4), f++)) && i == n.debounceRendering || ((i = n.debounceRendering) || queueMicrotask)(H);
  }
  function H() {
    try {
      for (var n3, t4 = 1; u.length; ) u.length > t4 && u.sort(o), n3 = u.shift(), t4 = u.length, 8 & n3.__g && C(n3);
    } finally {
      (f = u.length) && (i || queueMicrotask)(H);
    }
  }
  function I(n3, t4, r4, u4, i4, f5, o5, e4, l4, c4, a5) {
    var s4, h5, v4, w5, d4, _3, g5 = u4.__k || y, k4 = t4.length;
    for (l4 = q(r4, t4, g5, l4, k4), s4 = 0; s4 < k4; s4++) null != (v4 = r4.__k[s4]) && (h5 = ~v4.__i && g5[v4.__i] || p, v4.__i = s4, _3 = z(n3, v4, h5, i4, f5, o5, e4, l4, c4, a5), w5 = v4.__e, (h5.ref != v4.ref || 8 & h5.__u) && (h5.ref && G(h5.ref, null, v4, h5), v4.ref && a5.push(v4.ref, v4.__c || w5, v4)), d4 = d4 || w5, 4 & v4.__u ? (l4 = A(v4, l4, n3, !h5.__v), h5.__e && (h5.__e = null)) : "function" == typeof v4.type && void 0 !== _3 ? l4 = _3 : w5 && (l4 = w5.nextSibling), v4.__u &= -21);
    return r4.__e = d4, l4;
  }
  function q(n3, t4, r4, u4, i4) {
    var f5, o5, e4, l4, c4, a5, s4, p5, y5, v4 = r4.length, d4 = v4, _3 = 0, g5 = 0, k4 = n3.__k = Array(i4);
    for (f5 = 0; f5 < i4; f5++) null != (o5 = t4[f5]) && "boolean" != typeof o5 && "function" != typeof o5 ? ("object" != typeof o5 || o5.constructor === String ? o5 = k4[f5] = m(null, o5) : w(o5) ? o5 = k4[f5] = m($, { children: o5 }) : o5.constructor === h && o5.__b ? o5 = k4[f5] = m(o5.type, o5.props, o5.key, o5.ref, o5.__v) : k4[f5] = o5, l4 = f5 + _3, o5.__ = n3, o5.__b = n3.__b + 1, e4 = null, ~(c4 = o5.__i = P(o5, r4, l4, d4)) && (d4--, (e4 = r4[c4]) && (e4.__u |= 2)), e4 && e4.__v ? (o5.__u |= 16, c4 == l4 - 1 ? _3-- : c4 == l4 + 1 ? _3++ : c4 != l4 && (c4 > l4 ? _3-- : _3++, g5 = 1)) : (~c4 || (i4 > v4 ? _3-- : i4 < v4 && _3++), "function" != typeof o5.type && (o5.__u |= 4))) : k4[f5] = null;
    if (g5) {
      for (a5 = [], s4 = [], f5 = 0; f5 < i4; f5++) if ((o5 = k4[f5]) && 16 & o5.__u) {
        for (_3 = 0, p5 = a5.length; _3 < p5; ) a5[y5 = _3 + p5 >> 1] < o5.__i ? _3 = y5 + 1 : p5 = y5;
        a5[_3] = o5.__i, s4[f5] = _3 + 1;
      }
      for (_3 = a5.length; f5--; ) s4[f5] && (s4[f5] == _3 ? _3-- : k4[f5].__u |= 4);
    }
    if (d4) for (f5 = 0; f5 < v4; f5++) !(e4 = r4[f5]) || 2 & e4.__u || (e4.__e == u4 && (u4 = S(e4)), J(e4, e4));
    return u4;
  }
  function A(n3, t4, r4, u4) {
    var i4, f5, o5, e4;
    if ("function" == typeof n3.type) {
      if (n3.props.__P) return t4;
      if (i4 = n3.__k) for (f5 = 0; f5 < i4.length; f5++) i4[f5] && (i4[f5].__ = n3, t4 = A(i4[f5], t4, r4, false));
      return t4;
    }
    for (t4 && !t4.parentNode && (t4 = S(n3)) && !t4.parentNode && (t4 = null), o5 = n3.__e, e4 = t4; e4 && 8 == e4.nodeType; ) e4 = e4.nextSibling;
    for (o5 != e4 && (!u4 && r4.moveBefore && o5.parentNode ? r4.moveBefore(o5, t4) : r4.insertBefore(o5, t4 || null)), t4 = o5; (t4 = t4 && t4.nextSibling) && 8 == t4.nodeType && !t4.data.startsWith("$s"); ) ;
    return t4;
  }
  function P(n3, t4, r4, u4) {
    var i4, f5 = n3.key, o5 = n3.type, e4 = t4[r4], l4 = e4 && !(2 & e4.__u);
    if (null === e4 && null == f5 || l4 && f5 == e4.key && o5 == e4.type) return r4;
    if (u4 > (l4 ? 1 : 0)) {
      for (i4 = r4 - 1; i4 >= 0; i4--) if ((e4 = t4[i4]) && !(2 & e4.__u) && f5 == e4.key && o5 == e4.type) return i4;
      for (i4 = r4 + 1; i4 < t4.length; i4++) if ((e4 = t4[i4]) && !(2 & e4.__u) && f5 == e4.key && o5 == e4.type) return i4;
    }
    return -1;
  }
  function T(n3, t4, r4) {
    null == r4 && (r4 = ""), "-" == t4[0] ? n3.setProperty(t4, r4) : n3[t4] = r4;
  }
  function N(n3, t4, r4, u4, i4) {
    var f5, o5;
    if ("style" == t4) if ("string" == typeof r4) n3.style.cssText = r4;
    else {
      if ("string" == typeof u4 && (n3.style.cssText = u4 = ""), u4) for (t4 in u4) r4 && t4 in r4 || T(n3.style, t4);
      if (r4) for (t4 in r4) u4 && r4[t4] == u4[t4] || T(n3.style, t4, r4[t4]);
    }
    else if ("o" == t4[0] && "n" == t4[1]) "function" != typeof r4 && (r4 = null), "function" != typeof u4 && (u4 = null), (n3.__e || (n3.__e = {}))[t4] = r4, r4 && u4 || (o5 = a[t4] || (a[t4] = V(t4)), (n3.__a || (n3.__a = {}))[t4] = c, f5 = t4 != (t4 = t4.replace(l, "$1")), (t4 = t4.slice(2))[0] < "a" && (t4 = t4.toLowerCase()), r4 ? n3.addEventListener(t4, o5, f5) : n3.removeEventListener(t4, o5, f5));
    else {
      if ("http://www.w3.org/2000/svg" == i4) t4 = t4.replace(/xlink(H|:h)/, "h").replace(/sName$/, "s");
      else if ("width" != t4 && "height" != t4 && "href" != t4 && "list" != t4 && "form" != t4 && "tabIndex" != t4 && "download" != t4 && "rowSpan" != t4 && "colSpan" != t4 && "role" != t4 && "popover" != t4 && t4 in n3) try {
        return void (n3[t4] = null == r4 ? "" : r4);
      } catch (n4) {
      }
      if ("function" == typeof r4) return;
      null == r4 || false === r4 && "-" != t4[4] ? n3.removeAttribute(t4) : n3.setAttribute(t4, "popover" == t4 && 1 == r4 ? "" : r4);
    }
  }
  function V(t4) {
    return function(r4) {
      var u4 = this.__e;
      if (u4) {
        if (u4 = u4[t4], null == r4[e]) r4[e] = c++;
        else if (r4[e] < this.__a[t4]) return;
        return u4(n.event ? n.event(r4) : r4);
      }
    };
  }
  function z(t4, r4, u4, i4, f5, o5, e4, l4, c4, a5) {
    var s4, p5, v4, d4, k4, b3, m5, M2, C3, j3, L2, H2, q2, A4, O2, P3, T4, N2, V2 = r4.type;
    if (r4.constructor !== h) return null;
    128 & u4.__u && (c4 = 32 & u4.__u, s4 = u4.__c.__z) && (r4.__u |= c4, p5 = o5 = [], 8 == s4.nodeType ? l4 = B(s4, o5) : o5.push(s4), l4 = o5[0] || l4), (s4 = n.__b) && s4(r4);
    n: if ("function" == typeof V2) {
      v4 = e4.length;
      try {
        if (M2 = r4.props, C3 = (s4 = V2.prototype) && s4.render, j3 = (s4 = V2.contextType) && i4[s4.__c], L2 = s4 ? j3 ? j3.props.value : s4.__ : i4, (d4 = u4.__c) ? (r4.__c = d4, 2 & d4.__g && (d4.__g |= 1)) : (C3 ? r4.__c = d4 = new V2(M2, L2) : (r4.__c = d4 = new x(M2, L2), d4.constructor = V2, d4.render = K), j3 && j3.sub(d4), d4.state || (d4.state = {}), d4.__n = i4, d4.__g |= 8, d4.__h = [], d4.__k = []), C3 && (d4.__s || (d4.__s = d4.state), V2.getDerivedStateFromProps && (d4.__s == d4.state && (d4.__s = _({}, d4.__s)), _(d4.__s, V2.getDerivedStateFromProps(M2, d4.__s)))), k4 = d4.props, b3 = d4.state, d4.__v = r4, u4.__c) {
          if (M2 !== k4 && C3 && !V2.getDerivedStateFromProps && d4.componentWillReceiveProps && d4.componentWillReceiveProps(M2, L2), r4.__v == u4.__v && !(8 & d4.__g) || !(4 & d4.__g) && d4.shouldComponentUpdate && false === d4.shouldComponentUpdate(M2, d4.__s, L2)) {
            r4.__v != u4.__v && (d4.props = M2, d4.state = d4.__s, d4.__g &= -9), r4.__e = u4.__e, r4.__k = u4.__k, r4.__k.some(function(n3) {
              n3 && (n3.__ = r4);
            }), y.push.apply(d4.__h, d4.__k), d4.__k = [], d4.__h.length && e4.push(d4), l4 = S(u4);
            break n;
          }
          d4.componentWillUpdate && d4.componentWillUpdate(M2, d4.__s, L2), C3 && d4.componentDidUpdate && d4.__h.push(function() {
            d4.componentDidUpdate(k4, b3, m5);
          });
        } else C3 && !V2.getDerivedStateFromProps && d4.componentWillMount && d4.componentWillMount(), C3 && d4.componentDidMount && d4.__h.push(d4.componentDidMount);
        d4.context = L2, d4.props = M2, d4.__P = t4, d4.__g &= -5, H2 = n.__r, q2 = C3 ? 25 : 0;
        do {
          d4.__g &= -9, H2 && H2(r4), s4 = d4.render(d4.props, d4.state = d4.__s, d4.context);
        } while (8 & d4.__g && ++q2 < 25);
        C3 && (y.push.apply(d4.__h, d4.__k), d4.__k = []), d4.state = d4.__s, d4.getChildContext && (i4 = _({}, i4, d4.getChildContext())), C3 && u4.__c && d4.getSnapshotBeforeUpdate && (m5 = d4.getSnapshotBeforeUpdate(k4, b3)), A4 = s4 && s4.type === $ && null == s4.key ? s4.props.children : s4, M2.__P && (s4 = l4, f5 = (t4 = M2.__P).namespaceURI, c4 = o5 = null, u4.props && u4.props.__P != t4 && (u4.__k.some(function(n3) {
          n3 && J(n3, n3);
        }), u4.__k = null), l4 = u4.__k ? S(u4, 0) : null), l4 = I(t4, w(A4) ? A4 : [A4], r4, u4, i4, f5, o5, e4, l4, c4, a5), M2.__P && (r4.__e = null, l4 = s4), r4.__u &= -161, p5 && p5.some(g), d4.__h.length && e4.push(d4), 1 & d4.__g && (d4.__g &= -4);
      } catch (t5) {
        if (e4.length = v4, r4.__v = null, c4 || o5) if (t5 && t5.then) {
          if (r4.__u |= 128 | c4, o5) {
            for (~(T4 = o5.indexOf(l4 || void 0)) || (T4 = o5.length); (N2 = o5[T4 - 1]) && 8 == N2.nodeType; ) T4--;
            for (; T4 < o5.length; T4++) if (N2 = o5[T4]) if (o5[T4] = null, O2) {
              if (N2 == P3) break;
            } else {
              if (8 != N2.nodeType) break;
              N2.data.startsWith("$s") && (P3 = B(O2 = N2));
            }
          }
          if (!O2) {
            for (; l4 && 8 == l4.nodeType && l4.nextSibling; ) l4 = l4.nextSibling;
            O2 = l4;
          }
          (s4 = B(O2 = r4.__c.__z || (r4.__c.__z = O2))) ? (r4.__e = O2, l4 = s4) : r4.__e = l4, l4 = l4 && l4.nextSibling;
        } else o5 && o5.some(g);
        else r4.__e = u4.__e;
        r4.__k || (r4.__k = u4.__k || []), t5 && t5.then || D(r4), n.__e(t5, r4, u4);
      }
    } else l4 = r4.__e = F(u4.__e, r4, u4, i4, f5, o5, e4, c4, a5, t4);
    return (s4 = n.diffed) && s4(r4), l4;
  }
  function B(n3, t4) {
    if (n3 && 8 == n3.nodeType && n3.data.startsWith("$s")) for (var r4 = 1; n3 = n3.nextSibling; ) {
      if (8 == n3.nodeType) {
        if (n3.data.startsWith("$s")) r4++;
        else if (n3.data.startsWith("/$s") && !--r4) return n3;
      }
      t4 && t4.push(n3);
    }
  }
  function D(n3) {
    n3 && (n3.__c && (n3.__c.__g |= 4), n3.__k && n3.__k.some(D));
  }
  function E(t4, r4, u4) {
    for (var i4 = 0; i4 < u4.length; ) G(u4[i4++], u4[i4++], u4[i4++]);
    n.__c && n.__c(r4, t4), t4.some(function(r5) {
      try {
        t4 = r5.__h, r5.__h = [], t4.some(function(n3) {
          n3.call(r5);
        });
      } catch (t5) {
        n.__e(t5, r5.__v);
      }
    });
  }
  function F(t4, r4, u4, i4, f5, o5, e4, l4, c4, a5) {
    var s4, h5, y5, _3, k4, b3, m5, M2, $2 = u4.props || p, x3 = r4.props, C3 = r4.type;
    if ("svg" == C3 ? f5 = "http://www.w3.org/2000/svg" : "math" == C3 ? f5 = "http://www.w3.org/1998/Math/MathML" : f5 || (f5 = "http://www.w3.org/1999/xhtml"), o5) {
      for (s4 = 0; s4 < o5.length; s4++) if ((k4 = o5[s4]) && (C3 ? k4.localName == C3 : 3 == k4.nodeType)) {
        t4 = k4, o5[s4] = null;
        break;
      }
    }
    if (!t4) {
      if (M2 = a5.ownerDocument || document, !C3) return M2.createTextNode(x3);
      t4 = M2.createElementNS(f5, C3, x3.is ? x3 : a5), l4 && (n.__m && n.__m(r4, o5), l4 = false), o5 = null;
    }
    if (C3) {
      if (a5 = "template" == C3 && t4.content || t4, o5 = "textarea" == C3 && null != x3.defaultValue ? null : o5 && d.call(a5.childNodes), !l4 && o5) for ($2 = {}, s4 = 0; s4 < t4.attributes.length; s4++) $2[(k4 = t4.attributes[s4]).name] = k4.value;
      for (s4 in $2) k4 = $2[s4], "dangerouslySetInnerHTML" == s4 ? y5 = k4 : "children" == s4 || s4 in x3 || "value" == s4 && "defaultValue" in x3 || "checked" == s4 && "defaultChecked" in x3 || N(t4, s4, null, k4, f5);
      for (s4 in x3) k4 = x3[s4], "children" == s4 ? _3 = k4 : "dangerouslySetInnerHTML" == s4 ? h5 = k4 : "value" == s4 ? b3 = k4 : "checked" == s4 ? m5 = k4 : l4 && "function" != typeof k4 || $2[s4] === k4 || N(t4, s4, k4, $2[s4], f5);
      h5 ? (l4 || y5 && (h5.__html == y5.__html || h5.__html == t4.innerHTML) || (t4.innerHTML = h5.__html), r4.__k = []) : (y5 && (t4.textContent = ""), ("foreignObject" == C3 || "http://www.w3.org/1998/Math/MathML" == f5 && v.test(C3)) && (f5 = "http://www.w3.org/1999/xhtml"), I(a5, w(_3) ? _3 : [_3], r4, u4, i4, f5, o5, e4, o5 ? o5[0] : u4.__k && S(u4, 0), l4, c4), o5 && o5.some(g)), l4 && "textarea" != C3 || (s4 = "value", "progress" == C3 && null == b3 ? t4.removeAttribute(s4) : null == b3 || b3 === t4[s4] && ("progress" != C3 || b3) || N(t4, s4, b3, $2[s4], f5), s4 = "checked", null != m5 && m5 != t4[s4] && N(t4, s4, m5, $2[s4], f5));
    } else $2 === x3 || l4 && t4.data == x3 || (t4.data = x3);
    return t4;
  }
  function G(t4, r4, u4, i4) {
    try {
      "function" == typeof t4 ? r4 ? r4.__x = t4(r4) || 1 : i4 && (i4 = i4.__c || i4.__e) && (r4 = i4.__x) && (i4.__x = null, "function" == typeof r4 ? r4() : t4(null)) : t4.current = r4;
    } catch (t5) {
      n.__e(t5, u4);
    }
  }
  function J(t4, r4, u4) {
    var i4, f5, o5, e4;
    if (n.unmount && n.unmount(t4), !(i4 = t4.ref) || i4.current && i4.current != t4.__e || G(i4, null, r4, t4), i4 = t4.__c) {
      if (i4.componentWillUnmount) try {
        i4.componentWillUnmount();
      } catch (t5) {
        n.__e(t5, r4);
      }
      i4.__P = i4.__n = null;
    }
    if (i4 = t4.__k) for (e4 = 0; e4 < i4.length; e4++) i4[e4] && J(i4[e4], r4, "function" != typeof t4.type || u4 && !t4.props.__P);
    !u4 && (i4 = t4.__c) && (i4 = i4.__z) && (f5 = B(i4, o5 = [])) && (i4 == t4.__e && o5.some(g), g(f5), g(i4)), u4 || g(t4.__e), t4.__e = t4.__c = t4.__ = null;
  }
  function K(n3, t4, r4) {
    return this.constructor(n3, r4);
  }
  function Q(t4, r4) {
    var u4, i4, f5, o5;
    n.__ && n.__(t4, r4), 9 == r4.nodeType && (r4 = r4.documentElement), i4 = (u4 = t4 && 32 & t4.__u) ? null : r4.__k, r4.__k = m($, { children: [t4] }), f5 = [], o5 = [], z(r4, r4.__k, i4 || p, p, r4.namespaceURI, i4 ? null : r4.firstChild ? d.call(r4.childNodes) : null, f5, i4 ? i4.__e : r4.firstChild, u4, o5), E(f5, r4.__k, o5), r4.__k.props.children = null;
  }
  n = { __e: function(n3, t4, r4, u4) {
    for (var i4, o5, e4; t4 = t4.__; ) if ((i4 = t4.__c) && !(1 & i4.__g)) {
      i4.__g |= 4;
      try {
        if ((e4 = (o5 = i4.constructor) && o5.getDerivedStateFromError) && i4.setState(o5.getDerivedStateFromError(n3)), i4.componentDidCatch && (i4.componentDidCatch(n3, u4 || {}), e4 = 1), e4 && 8 & i4.__g) return void (i4.__g |= 2);
      } catch (t5) {
        n3 = t5;
      }
    }
    throw f = 0, n3;
  } }, t = 0, r = function(n3) {
    return null != n3 && n3.constructor === h;
  }, x.prototype.setState = function(n3, t4) {
    var r4 = this.__s;
    r4 && r4 != this.state || (r4 = this.__s = _({}, this.state)), "function" == typeof n3 && (n3 = n3(_({}, r4), this.props)), n3 && (_(r4, n3), this.__v && (t4 && this.__k.push(t4), L(this)));
  }, x.prototype.forceUpdate = function(n3) {
    this.__v && (this.__g |= 4, n3 && this.__h.push(n3), L(this));
  }, x.prototype.render = $, u = [], f = 0, o = function(n3, t4) {
    return n3.__v.__b - t4.__v.__b;
  }, e = /* @__PURE__ */ Symbol(), l = /(PointerCapture)$|Capture$/i, c = 0, a = {}, s = 0;

  // node_modules/preact/hooks/dist/hooks.mjs
  var t2;
  var r2;
  var u2;
  var i2;
  var o2 = Object.is;
  var f2 = 0;
  var c2 = [];
  var e2 = [];
  var a2 = n;
  var v2 = a2.__b;
  var l2 = a2.__r;
  var m2 = a2.diffed;
  var h2 = a2.__c;
  var s2 = a2.unmount;
  var p2 = a2.__;
  function y2(n3, t4) {
    a2.__h && a2.__h(r2, n3, f2 || t4), f2 = 0;
    var u4 = r2.__H || (r2.__H = { __: [], __h: [] });
    return n3 >= u4.__.length && u4.__.push({}), u4.__[n3];
  }
  function A2(n3, u4) {
    var i4 = y2(t2++, 3);
    !a2.__s && E2(i4.__H, u4) && (i4.__P = true, i4.__ = n3, i4.u = u4, r2.__H.__h.push(i4));
  }
  function T2(n3) {
    return f2 = 5, w2(function() {
      return { current: n3 };
    }, []);
  }
  function w2(n3, r4) {
    var u4 = y2(t2++, 7);
    return E2(u4.__H, r4) && (u4.__ = n3(), u4.__H = r4), u4.__;
  }
  function P2() {
    var n3 = y2(t2++, 11);
    if (!n3.__) {
      for (var u4 = r2.__v; !u4.__m && u4.__; ) u4 = u4.__;
      var i4 = u4.__m || (u4.__m = [0, 0]);
      n3.__ = "P" + i4[0] + "-" + i4[1]++;
    }
    return n3.__;
  }
  function g2() {
    var n3;
    do {
      for (; n3 = e2.shift(); ) try {
        C2(n3);
      } catch (t5) {
        a2.__e(t5, { __: (n3 = n3.__P) && n3.__v });
      }
      for (; n3 = c2.shift(); ) {
        var t4 = n3.__H;
        if (n3.__P && t4) try {
          t4.__h.some(C2), t4.__h.some(D2), t4.__h = [];
        } catch (r4) {
          t4.__h = [], a2.__e(r4, n3.__v);
        }
      }
    } while (e2.length);
  }
  a2.__b = function(n3) {
    r2 = null, v2 && v2(n3);
  }, a2.__ = function(n3, t4) {
    n3 && t4.__k && t4.__k.__m && (n3.__m = t4.__k.__m), p2 && p2(n3, t4);
  }, a2.__r = function(n3) {
    l2 && l2(n3), t2 = 0;
    var i4 = (r2 = n3.__c).__H;
    i4 && (u2 == r2 ? r2.__h = [] : (i4.__h.some(C2), i4.__h.some(D2), t2 = 0), i4.__h = [], i4.__.some(function(n4) {
      n4.__N && (n4.__ = n4.__N), n4.u = n4.__N = void 0;
    })), u2 = r2;
  }, a2.diffed = function(n3) {
    m2 && m2(n3);
    var t4 = n3.__c;
    t4 && t4.__H && (t4.__H.__h.length && B2(c2.push(t4)), t4.__H.__.some(function(n4) {
      n4.u && (n4.__H = n4.u);
    })), u2 = r2 = null;
  }, a2.__c = function(n3, t4) {
    t4.some(function(n4) {
      try {
        n4.__h.some(C2), n4.__h = n4.__h.filter(function(n5) {
          return !n5.__ || D2(n5);
        });
      } catch (t5) {
        n4.__h = [function() {
          throw t5;
        }];
      }
    }), h2 && h2(n3, t4);
  }, a2.unmount = function(n3) {
    s2 && s2(n3);
    var t4, r4, u4 = n3.__c;
    u4 && u4.__H && (u4.__H.__.some(function(u5) {
      try {
        if (u5.__P && u5.__c) {
          if (void 0 === r4) {
            for (r4 = n3.__; r4 && (!r4.__c || !r4.__c.__P); ) r4 = r4.__;
            r4 = r4 && r4.__c;
          }
          u5.__P = r4, B2(e2.push(u5));
        } else C2(u5);
      } catch (n4) {
        t4 = n4;
      }
    }), u4.__H = void 0, t4 && a2.__e(t4, u4.__v));
  };
  var k2 = "function" == typeof requestAnimationFrame;
  function z2(n3) {
    var t4, r4 = function() {
      clearTimeout(u4), k2 && cancelAnimationFrame(t4), setTimeout(n3);
    }, u4 = setTimeout(r4, 35);
    k2 && (t4 = requestAnimationFrame(r4));
  }
  function B2(n3) {
    1 != n3 && i2 == a2.requestAnimationFrame || ((i2 = a2.requestAnimationFrame) || z2)(g2);
  }
  function C2(n3) {
    var t4 = r2, u4 = n3.__c;
    "function" == typeof u4 && (n3.__c = void 0, u4()), r2 = t4;
  }
  function D2(n3) {
    var t4 = r2;
    n3.__c = n3.__(), r2 = t4;
  }
  function E2(n3, t4) {
    return !n3 || n3.length != t4.length || t4.some(function(t5, r4) {
      return !o2(t5, n3[r4]);
    });
  }

  // node_modules/@preact/signals-core/dist/signals-core.module.js
  var i3 = /* @__PURE__ */ Symbol.for("preact-signals");
  function t3() {
    if (!(v3 > 1)) {
      var i4, t4 = false;
      !(function() {
        var i5 = c3;
        c3 = void 0;
        while (void 0 !== i5) {
          var t5 = i5.S;
          if (t5.v === i5.v) {
            for (var r5 = t5.t; void 0 !== r5; r5 = r5.x) if (r5.i === i5.i) r5.i = t5.i;
          }
          i5 = i5.o;
        }
      })();
      while (void 0 !== h3) {
        var r4 = h3;
        h3 = void 0;
        s3++;
        while (void 0 !== r4) {
          var n3 = r4.u;
          r4.u = void 0;
          r4.f &= -3;
          if (!(8 & r4.f) && w3(r4)) try {
            r4.c();
          } catch (r5) {
            if (!t4) {
              i4 = r5;
              t4 = true;
            }
          }
          r4 = n3;
        }
      }
      s3 = 0;
      v3--;
      if (t4) throw i4;
    } else v3--;
  }
  function r3(i4) {
    if (v3 > 0) return i4();
    u3 = ++e3;
    v3++;
    try {
      return i4();
    } finally {
      t3();
    }
  }
  var n2;
  var o3 = void 0;
  function f3(i4) {
    var t4 = o3, r4 = n2;
    o3 = void 0;
    n2 = void 0;
    try {
      return i4();
    } finally {
      o3 = t4;
      n2 = r4;
    }
  }
  var h3 = void 0;
  var v3 = 0;
  var s3 = 0;
  var e3 = 0;
  var u3 = 0;
  var c3 = void 0;
  var a3 = 0;
  function d2(i4) {
    if (void 0 !== o3) {
      var t4 = i4.n;
      if (void 0 === t4 || t4.t !== o3) {
        t4 = { i: 0, S: i4, p: o3.s, n: void 0, t: o3, e: void 0, x: void 0, r: t4 };
        if (void 0 !== o3.s) o3.s.n = t4;
        o3.s = t4;
        i4.n = t4;
        if (32 & o3.f) i4.S(t4);
        return t4;
      } else if (-1 === t4.i) {
        t4.i = 0;
        if (void 0 !== t4.n) {
          t4.n.p = t4.p;
          if (void 0 !== t4.p) t4.p.n = t4.n;
          t4.p = o3.s;
          t4.n = void 0;
          o3.s.n = t4;
          o3.s = t4;
        }
        return t4;
      }
    }
  }
  function l3(i4, t4) {
    this.v = i4;
    this.i = 0;
    this.n = void 0;
    this.t = void 0;
    this.l = 0;
    this.W = null == t4 ? void 0 : t4.watched;
    this.Z = null == t4 ? void 0 : t4.unwatched;
    this.name = null == t4 ? void 0 : t4.name;
  }
  l3.prototype.brand = i3;
  l3.prototype.h = function() {
    return true;
  };
  l3.prototype.S = function(i4) {
    var t4 = this, r4 = this.t;
    if (r4 !== i4 && void 0 === i4.e) {
      i4.x = r4;
      this.t = i4;
      if (void 0 !== r4) r4.e = i4;
      else f3(function() {
        var i5;
        null == (i5 = t4.W) || i5.call(t4);
      });
    }
  };
  l3.prototype.U = function(i4) {
    var t4 = this;
    if (void 0 !== this.t) {
      var r4 = i4.e, n3 = i4.x;
      if (void 0 !== r4) {
        r4.x = n3;
        i4.e = void 0;
      }
      if (void 0 !== n3) {
        n3.e = r4;
        i4.x = void 0;
      }
      if (i4 === this.t) {
        this.t = n3;
        if (void 0 === n3) f3(function() {
          var i5;
          null == (i5 = t4.Z) || i5.call(t4);
        });
      }
    }
  };
  l3.prototype.subscribe = function(i4) {
    var t4 = this;
    return x2(function() {
      var r4 = t4.value;
      f3(function() {
        return i4(r4);
      });
    }, { name: "sub" });
  };
  l3.prototype.valueOf = function() {
    return this.value;
  };
  l3.prototype.toString = function() {
    return this.value + "";
  };
  l3.prototype.toJSON = function() {
    return this.value;
  };
  l3.prototype.peek = function() {
    var i4 = this;
    return f3(function() {
      return i4.value;
    });
  };
  Object.defineProperty(l3.prototype, "value", { get: function() {
    var i4 = d2(this);
    if (void 0 !== i4) i4.i = this.i;
    return this.v;
  }, set: function(i4) {
    if (i4 !== this.v) {
      if (s3 > 100) throw new Error("Cycle detected");
      !(function(i5) {
        if (0 !== v3 && 0 === s3) {
          if (i5.l !== u3) {
            i5.l = u3;
            c3 = { S: i5, v: i5.v, i: i5.i, o: c3 };
          }
        }
      })(this);
      this.v = i4;
      this.i++;
      a3++;
      v3++;
      try {
        for (var r4 = this.t; void 0 !== r4; r4 = r4.x) r4.t.N();
      } finally {
        t3();
      }
    }
  } });
  function y3(i4, t4) {
    return new l3(i4, t4);
  }
  function w3(i4) {
    for (var t4 = i4.s; void 0 !== t4; t4 = t4.n) if (t4.S.i !== t4.i || !t4.S.h() || t4.S.i !== t4.i) return true;
    return false;
  }
  function b(i4) {
    for (var t4 = i4.s; void 0 !== t4; t4 = t4.n) {
      var r4 = t4.S.n;
      if (void 0 !== r4) t4.r = r4;
      t4.S.n = t4;
      t4.i = -1;
      if (void 0 === t4.n) {
        i4.s = t4;
        break;
      }
    }
  }
  function _2(i4) {
    var t4 = i4.s, r4 = void 0;
    while (void 0 !== t4) {
      var n3 = t4.p;
      if (-1 === t4.i) {
        t4.S.U(t4);
        if (void 0 !== n3) n3.n = t4.n;
        if (void 0 !== t4.n) t4.n.p = n3;
      } else r4 = t4;
      t4.S.n = t4.r;
      if (void 0 !== t4.r) t4.r = void 0;
      t4 = n3;
    }
    i4.s = r4;
  }
  function j2(i4, t4) {
    l3.call(this, void 0, t4);
    this.x = i4;
    this.s = void 0;
    this.g = a3 - 1;
    this.f = 4;
  }
  j2.prototype = new l3();
  j2.prototype.h = function() {
    this.f &= -3;
    if (1 & this.f) return false;
    if (32 == (36 & this.f)) return true;
    this.f &= -5;
    if (this.g === a3) return true;
    this.g = a3;
    this.f |= 1;
    if (this.i > 0 && !w3(this)) {
      this.f &= -2;
      return true;
    }
    var i4 = o3;
    try {
      b(this);
      o3 = this;
      var t4 = this.x();
      if (16 & this.f || this.v !== t4 || 0 === this.i) {
        this.v = t4;
        this.f &= -17;
        this.i++;
      }
    } catch (i5) {
      this.v = i5;
      this.f |= 16;
      this.i++;
    }
    o3 = i4;
    _2(this);
    this.f &= -2;
    return true;
  };
  j2.prototype.S = function(i4) {
    if (void 0 === this.t) {
      this.f |= 36;
      for (var t4 = this.s; void 0 !== t4; t4 = t4.n) t4.S.S(t4);
    }
    l3.prototype.S.call(this, i4);
  };
  j2.prototype.U = function(i4) {
    if (void 0 !== this.t) {
      l3.prototype.U.call(this, i4);
      if (void 0 === this.t) {
        this.f &= -33;
        for (var t4 = this.s; void 0 !== t4; t4 = t4.n) t4.S.U(t4);
      }
    }
  };
  j2.prototype.N = function() {
    if (!(2 & this.f)) {
      this.f |= 6;
      for (var i4 = this.t; void 0 !== i4; i4 = i4.x) i4.t.N();
    }
  };
  Object.defineProperty(j2.prototype, "value", { get: function() {
    if (1 & this.f) throw new Error("Cycle detected");
    var i4 = d2(this);
    this.h();
    if (void 0 !== i4) i4.i = this.i;
    if (16 & this.f) throw this.v;
    return this.v;
  } });
  function O(i4, t4) {
    return new j2(i4, t4);
  }
  function p3(i4) {
    var r4 = i4.j;
    i4.j = void 0;
    if ("function" == typeof r4) {
      v3++;
      var n3 = o3;
      o3 = void 0;
      try {
        r4();
      } catch (t4) {
        i4.f &= -2;
        i4.f |= 8;
        g3(i4);
        throw t4;
      } finally {
        o3 = n3;
        t3();
      }
    }
  }
  function g3(i4) {
    for (var t4 = i4.s; void 0 !== t4; t4 = t4.n) t4.S.U(t4);
    i4.x = void 0;
    i4.s = void 0;
    p3(i4);
  }
  function S2(i4) {
    if (o3 !== this) throw new Error("Out-of-order effect");
    _2(this);
    o3 = i4;
    this.f &= -2;
    try {
      if (8 & this.f) g3(this);
    } finally {
      t3();
    }
  }
  function m3(i4, t4) {
    this.x = i4;
    this.j = void 0;
    this.s = void 0;
    this.u = void 0;
    this.f = 32;
    this.name = null == t4 ? void 0 : t4.name;
    if (n2) n2.push(this);
  }
  m3.prototype.c = function() {
    var i4 = this.S();
    try {
      if (8 & this.f) return;
      if (void 0 === this.x) return;
      var t4 = this.x();
      if ("function" == typeof t4) this.j = t4;
    } finally {
      i4();
    }
  };
  m3.prototype.S = function() {
    if (1 & this.f) throw new Error("Cycle detected");
    this.f |= 1;
    this.f &= -9;
    p3(this);
    b(this);
    v3++;
    var i4 = o3;
    o3 = this;
    return S2.bind(this, i4);
  };
  m3.prototype.N = function() {
    if (!(2 & this.f)) {
      this.f |= 2;
      this.u = h3;
      h3 = this;
    }
  };
  m3.prototype.d = function() {
    this.f |= 8;
    if (!(1 & this.f)) g3(this);
  };
  m3.prototype.dispose = function() {
    this.d();
  };
  function x2(i4, t4) {
    var r4 = new m3(i4, t4);
    try {
      r4.c();
    } catch (i5) {
      r4.d();
      throw i5;
    }
    var n3 = r4.d.bind(r4);
    n3[Symbol.dispose] = n3;
    return n3;
  }

  // node_modules/@preact/signals/dist/signals.module.js
  var h4;
  var d3;
  var p4;
  var m4 = "undefined" != typeof window && !!window.__PREACT_SIGNALS_DEVTOOLS__;
  var g4 = [];
  x2(function() {
    h4 = this.N;
  })();
  function b2(i4, n3) {
    n[i4] = n3.bind(null, n[i4] || function() {
    });
  }
  function y4(i4) {
    if (p4) {
      var n3 = p4;
      p4 = void 0;
      n3();
    }
    p4 = i4 && i4.S();
  }
  function w4(i4) {
    var n3 = this, r4 = i4.data, t4 = useSignal(r4);
    t4.name = "ReactiveDom";
    t4.value = r4;
    var e4 = w2(function() {
      var i5 = n3, r5 = n3.__v;
      while (r5 = r5.__) if (r5.__c) {
        r5.__c.__$f |= 4;
        break;
      }
      var o5 = O(function() {
        var i6 = t4.value.value;
        return 0 === i6 ? 0 : true === i6 ? "" : i6 || "";
      }), e5 = O(function() {
        return !Array.isArray(o5.value) && !r(o5.value);
      }), u5 = x2(function() {
        this.N = M;
        if (e5.value) {
          var n4 = o5.value;
          if (i5.__v && i5.__v.__e && 3 === i5.__v.__e.nodeType) i5.__v.__e.data = n4;
        }
      }), c5 = n3.__$u.d;
      n3.__$u.d = function() {
        u5();
        c5.call(this);
      };
      return [e5, o5];
    }, []), u4 = e4[0], c4 = e4[1];
    return u4.value ? c4.peek() : c4.value;
  }
  w4.displayName = "ReactiveTextNode";
  Object.defineProperties(l3.prototype, { constructor: { configurable: true, value: k($, null).constructor }, type: { configurable: true, value: w4 }, props: { configurable: true, get: function() {
    var i4 = this;
    return { data: { get value() {
      return i4.value;
    } } };
  } }, __b: { configurable: true, value: 1 } });
  b2("__b", function(i4, n3) {
    y4();
    d3 = void 0;
    if ("string" == typeof n3.type) {
      var r4, t4 = n3.props;
      for (var f5 in t4) if ("children" !== f5) {
        var o5 = t4[f5];
        if (o5 instanceof l3) {
          if (!r4) n3.__np = r4 = {};
          r4[f5] = o5;
          t4[f5] = o5.peek();
        }
      }
    }
    i4(n3);
  });
  b2("__r", function(i4, r4) {
    i4(r4);
    if (r4.type !== $) {
      y4();
      var t4, f5 = r4.__c;
      if (f5) {
        f5.__$f &= -2;
        if (void 0 === (t4 = f5.__$u)) f5.__$u = t4 = (function(i5, n3) {
          var r5;
          x2(function() {
            r5 = this;
          }, { name: n3 });
          r5.c = i5;
          return r5;
        })(/* @__PURE__ */ (function(i5) {
          return function() {
            var n3;
            if (m4) null == (n3 = this.y) || n3.call(this);
            i5.__$f |= 1;
            i5.setState({});
          };
        })(f5), "function" == typeof r4.type ? r4.type.displayName || r4.type.name : "");
      }
      d3 = f5;
      y4(t4);
    }
  });
  b2("__e", function(i4, n3, r4, t4) {
    y4();
    d3 = void 0;
    i4(n3, r4, t4);
  });
  b2("diffed", function(i4, n3) {
    y4();
    d3 = void 0;
    var r4;
    if ("string" == typeof n3.type && (r4 = n3.__e)) {
      var t4 = n3.__np, f5 = n3.props, o5 = r4.U;
      if (o5) for (var e4 in o5) {
        var u4 = o5[e4];
        if (!(void 0 === u4 || t4 && e4 in t4)) {
          u4.d();
          o5[e4] = void 0;
        }
      }
      if (t4) {
        if (!o5) {
          o5 = {};
          r4.U = o5;
        }
        for (var a5 in t4) {
          var c4 = o5[a5], v4 = t4[a5];
          if (void 0 === c4) {
            c4 = k3(r4, a5, v4, f5);
            o5[a5] = c4;
          } else c4.o(v4, f5);
        }
      }
    }
    i4(n3);
  });
  function k3(i4, n3, r4, t4) {
    var f5 = n3 in i4 && void 0 === i4.ownerSVGElement, o5 = y3(r4);
    return { o: function(i5, n4) {
      o5.value = i5;
      t4 = n4;
    }, d: x2(function() {
      this.N = M;
      var r5 = o5.value.value;
      if (t4[n3] !== r5) {
        t4[n3] = r5;
        if (f5) i4[n3] = r5;
        else if (null != r5 && (false !== r5 || "-" === n3[4])) i4.setAttribute(n3, r5);
        else i4.removeAttribute(n3);
      }
    }) };
  }
  b2("unmount", function(i4, n3) {
    if ("string" == typeof n3.type) {
      var r4 = n3.__e;
      if (r4) {
        var t4 = r4.U;
        if (t4) {
          r4.U = void 0;
          for (var f5 in t4) {
            var o5 = t4[f5];
            if (o5) o5.d();
          }
        }
      }
      var e4 = n3.__np;
      if (e4) {
        var u4 = n3.props;
        for (var a5 in e4) u4[a5] = e4[a5];
      }
      n3.__np = void 0;
    } else {
      var c4 = n3.__c;
      if (c4) {
        c4.__$f |= 8;
        var v4 = c4.__$u;
        if (v4) {
          c4.__$u = void 0;
          v4.d();
        }
      }
    }
    i4(n3);
  });
  b2("__h", function(i4, n3, r4, t4) {
    if (t4 < 3) n3.__$f |= 2;
    i4(n3, r4, t4);
  });
  x.prototype.shouldComponentUpdate = function(i4, n3) {
    if (this.__R) return true;
    var r4 = this.__$u, t4 = r4 && void 0 !== r4.s;
    for (var f5 in n3) return true;
    if (this.__f || "boolean" == typeof this.u && true === this.u) {
      var o5 = 2 & this.__$f;
      if (!(t4 || o5 || 4 & this.__$f)) return true;
      if (1 & this.__$f) return true;
    } else {
      if (!(t4 || 4 & this.__$f)) return true;
      if (3 & this.__$f) return true;
    }
    for (var e4 in i4) if ("__source" !== e4 && i4[e4] !== this.props[e4]) return true;
    for (var u4 in this.props) if (!(u4 in i4)) return true;
    return false;
  };
  function useSignal(i4, n3) {
    return w2(function() {
      return y3(i4, n3);
    }, []);
  }
  var A3 = function(i4) {
    queueMicrotask(function() {
      queueMicrotask(i4);
    });
  };
  function F2() {
    r3(function() {
      var i4;
      while (i4 = g4.shift()) h4.call(i4);
    });
  }
  function M() {
    if (1 === g4.push(this)) (n.requestAnimationFrame || A3)(F2);
  }

  // src/core/api.ts
  var API = "/api/v1";
  var PATIENCE_MS = 15e3;
  var PAGE_SIZE = 1e3;
  var Refusal = class extends Error {
    constructor(status, code, message, details = {}) {
      super(message);
      this.status = status;
      this.code = code;
      this.details = details;
    }
    status;
    code;
    details;
  };
  var Unreachable = class extends Error {
  };
  var awaySince = y3(null);
  var credentials = { token: () => null, renew: async () => false };
  function useCredentials(given) {
    credentials = given;
  }
  async function ask(path2, options = {}) {
    const used = credentials.token();
    try {
      return await once(path2, options, used);
    } catch (error) {
      if (options.bare || !(error instanceof Refusal) || error.status !== 401) throw error;
      if (credentials.token() === used && !await credentials.renew()) throw error;
      return once(path2, options, credentials.token());
    }
  }
  async function askAll(path2, taken) {
    const rows = [];
    let cursor;
    do {
      const join = path2.includes("?") ? "&" : "?";
      const after = cursor ? `&cursor=${encodeURIComponent(cursor)}` : "";
      const page = await ask(`${path2}${join}limit=${PAGE_SIZE}${after}`);
      rows.push(...page.data);
      taken?.(page.data);
      cursor = page.next;
    } while (cursor);
    return rows;
  }
  async function once(path2, options, token2) {
    const headers = { Accept: "application/json", ...options.headers };
    if (options.body !== void 0) headers["Content-Type"] = "application/json";
    if (token2 && !options.bare) headers.Authorization = `Bearer ${token2}`;
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(), options.patienceMs ?? PATIENCE_MS);
    const abort = () => limit.abort();
    options.signal?.addEventListener("abort", abort);
    try {
      const response = await fetch(API + path2, {
        method: options.method ?? "GET",
        headers,
        body: options.body === void 0 ? void 0 : JSON.stringify(options.body),
        signal: limit.signal,
        cache: "no-store"
      });
      const answer = response.status === 204 ? null : await response.json();
      awaySince.value = null;
      if (response.ok) return answer;
      throw refusalOf(response.status, answer);
    } catch (error) {
      if (error instanceof Refusal) throw error;
      if (!options.signal?.aborted) awaySince.value ??= Date.now();
      throw new Unreachable(String(error));
    } finally {
      clearTimeout(timer);
      options.signal?.removeEventListener("abort", abort);
    }
  }
  function refusalOf(status, answer) {
    const found = answer?.error;
    return new Refusal(status, found?.code ?? `HTTP_${status}`, found?.message ?? `HTTP ${status}`, found?.details);
  }

  // src/core/choices.ts
  function stored(key, allowed, otherwise) {
    let first = otherwise;
    try {
      const found = localStorage.getItem(key);
      first = allowed.find((value) => value === found) ?? otherwise;
    } catch {
    }
    const chosen = y3(first);
    let isFirst = true;
    x2(() => {
      const value = chosen.value;
      if (isFirst) {
        isFirst = false;
        return;
      }
      try {
        localStorage.setItem(key, value);
      } catch {
      }
    });
    return chosen;
  }
  var preferred = (navigator.languages ?? [navigator.language]).find((tag) => /^(de|en)\b/i.test(tag))?.toLowerCase().startsWith("de") ? "de" : "en";
  var language = stored("godkaiser.language", ["de", "en"], preferred);
  var colours = stored("godkaiser.colours", ["system", "light", "dark"], "system");
  var degrees = stored("godkaiser.degrees", ["C", "F"], "C");
  var darkSystem = matchMedia("(prefers-color-scheme: dark)");
  var isDarkSystem = y3(darkSystem.matches);
  darkSystem.addEventListener("change", (event) => {
    isDarkSystem.value = event.matches;
  });
  var isDark = O(() => colours.value === "system" ? isDarkSystem.value : colours.value === "dark");
  x2(() => {
    document.documentElement.lang = language.value;
    document.documentElement.dataset.colours = isDark.value ? "dark" : "light";
  });

  // src/core/format.ts
  var locale = O(() => language.value === "de" ? "de-DE" : "en-GB");
  var now = y3(Date.now() / 1e3);
  setInterval(() => {
    if (document.visibilityState === "visible") now.value = Date.now() / 1e3;
  }, 1e3);
  function number(value, digits = 1) {
    return new Intl.NumberFormat(locale.value, { maximumFractionDigits: digits }).format(value);
  }
  function percent(fraction) {
    return new Intl.NumberFormat(locale.value, { style: "percent", maximumFractionDigits: 0 }).format(fraction);
  }
  function quantity(value, unit) {
    if (unit === "°C" && degrees.value === "F") return `${number(value * 1.8 + 32)} °F`;
    const digits = Math.abs(value) >= 1e3 ? 0 : 1;
    return unit ? `${number(value, digits)} ${unit}` : number(value, digits);
  }
  function moment(seconds) {
    const at = new Date(seconds * 1e3);
    const isToday = at.toDateString() === (/* @__PURE__ */ new Date()).toDateString();
    return new Intl.DateTimeFormat(locale.value, {
      ...isToday ? {} : { dateStyle: "short" },
      timeStyle: "medium"
    }).format(at);
  }
  function span(seconds) {
    const whole = Math.max(0, Math.round(seconds));
    const units = [
      [86400, "day"],
      [3600, "hour"],
      [60, "minute"],
      [1, "second"]
    ];
    const first = units.findIndex(([size]) => whole >= size);
    const begin = first === -1 ? units.length - 1 : first;
    let rest = whole;
    const parts = [];
    for (const [size, unit] of units.slice(begin, begin + 2)) {
      const count = Math.floor(rest / size);
      rest -= count * size;
      if (count === 0 && parts.length > 0) continue;
      parts.push(new Intl.NumberFormat(locale.value, { style: "unit", unit, unitDisplay: "short" }).format(count));
    }
    return parts.join(" ");
  }
  function clock(seconds) {
    const whole = Math.max(0, Math.ceil(seconds));
    const two = (part) => String(part).padStart(2, "0");
    const rest = `${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
    return whole >= 3600 ? `${Math.floor(whole / 3600)}:${rest}` : rest;
  }
  function ago(seconds) {
    const past = now.value - seconds;
    const relative = new Intl.RelativeTimeFormat(locale.value, { numeric: "auto", style: "short" });
    if (past < 60) return relative.format(-Math.max(0, Math.round(past)), "second");
    if (past < 3600) return relative.format(-Math.round(past / 60), "minute");
    if (past < 86400) return relative.format(-Math.round(past / 3600), "hour");
    return relative.format(-Math.round(past / 86400), "day");
  }
  function compare(left, right) {
    return left.localeCompare(right, locale.value, { numeric: true });
  }

  // src/core/plant.ts
  var devices = y3(null);
  var actuators = y3(null);
  var safety = y3(null);
  var health = y3(null);
  var sensors = y3(null);
  var ruleNames = y3(/* @__PURE__ */ new Map());
  function actuatorKey(espId, gpio) {
    return `${espId}/${gpio}`;
  }
  function sensorKey(sensor) {
    return `${sensor.esp_id}/${sensor.gpio}/${sensor.sensor_type}/${sensor.address}`;
  }
  async function readAll() {
    await Promise.all([readHealth(), readSafety(), readDevices(), readActuators()]);
    await readSensors();
    await readRuleNames();
  }
  async function readRuleNames() {
    const rows = await askAll("/logic/rules");
    ruleNames.value = new Map(rows.map((rule) => [String(rule.id), rule.name]));
  }
  async function readHealth() {
    health.value = await ask("/health");
  }
  async function readSafety() {
    safety.value = await ask("/safety/status");
  }
  async function readDevices() {
    const rows = await askAll("/esp/devices");
    devices.value = new Map(rows.map((row) => [row.device_id, row]));
  }
  async function readActuators() {
    const rows = await askAll("/actuators");
    actuators.value = new Map(rows.map((row) => [actuatorKey(row.esp_id, row.gpio), row]));
  }
  async function readSensors() {
    const rows = await askAll("/sensors");
    const before = sensors.peek();
    r3(() => {
      const after = /* @__PURE__ */ new Map();
      for (const row of rows) {
        const key = sensorKey(row);
        const known = before?.get(key);
        if (known) known.value = row;
        after.set(key, known ?? y3(row));
      }
      sensors.value = after;
    });
  }
  async function readDevice(deviceId) {
    await change(devices, deviceId, () => ask(`/esp/devices/${encodeURIComponent(deviceId)}`));
  }
  async function readActuator(espId, gpio) {
    await change(actuators, actuatorKey(espId, gpio), () => ask(`/actuators/${encodeURIComponent(espId)}/${gpio}`));
  }
  async function change(rows, key, read2) {
    let row;
    try {
      row = await read2();
    } catch (error) {
      if (!(error instanceof Refusal) || error.status !== 404) throw error;
      row = null;
    }
    const after = new Map(rows.peek() ?? []);
    if (row === null) after.delete(key);
    else after.set(key, row);
    rows.value = after;
  }
  function takeReading(event) {
    const data = event.data;
    const gpio = Number(data.gpio);
    const sensorType2 = event.topic.split("/").pop() ?? "";
    const known = sensors.peek()?.get(
      sensorKey({ esp_id: event.esp_id ?? "", gpio, sensor_type: sensorType2, address: String(data.address ?? "") })
    );
    if (!known) return false;
    const latest = {
      timestamp: event.at,
      raw: data.raw,
      value: data.value,
      unit: String(data.unit ?? ""),
      quality: String(data.quality ?? "")
    };
    known.value = { ...known.peek(), latest };
    return true;
  }

  // src/core/session.ts
  var phase = y3("starting");
  var person = y3(null);
  var stopToken = y3(null);
  var gateway = y3(null);
  var firstPage = null;
  var isOld = O(() => gateway.value !== null && firstPage !== null && gateway.value.page !== firstPage);
  var mayOperate = O(() => person.value !== null && person.value.role !== "viewer");
  var token = null;
  var renewing = null;
  var others = typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel("godkaiser");
  useCredentials({ token: () => token, renew });
  others?.addEventListener("message", (event) => {
    if (event.data === "logged out") forget("out");
  });
  function accessToken() {
    return token;
  }
  async function start() {
    await readVersion();
    if (gateway.value?.setup !== "closed") {
      phase.value = "setup";
      return;
    }
    if (!await renew() && phase.value === "starting") phase.value = "out";
  }
  async function readVersion() {
    const found = await ask("/version", { bare: true });
    firstPage ??= found.page;
    gateway.value = found;
  }
  async function logIn(username, password) {
    take(await ask("/auth/session", { method: "POST", body: { username, password }, bare: true }));
  }
  async function setUp(username, password, setupToken) {
    const body = { username, password, setup_token: setupToken };
    await ask("/auth/setup", { method: "POST", body, bare: true });
    await logIn(username, password);
  }
  async function logOut() {
    try {
      await ask("/auth/session", { method: "DELETE", bare: true });
    } finally {
      forget("out");
      others?.postMessage("logged out");
    }
  }
  function renew() {
    renewing ??= renewOnce().finally(() => {
      renewing = null;
    });
    return renewing;
  }
  async function renewOnce() {
    try {
      const session = await ask("/auth/session/renewal", { method: "POST", bare: true });
      if (session) {
        take(session);
        return true;
      }
    } catch (error) {
      if (!(error instanceof Refusal) || error.status !== 401) throw error;
    }
    if (phase.value === "in") phase.value = "expired";
    token = null;
    return false;
  }
  function take(session) {
    token = session.access_token;
    person.value = { username: session.username, role: session.role };
    stopToken.value = session.stop_token;
    phase.value = "in";
  }
  function forget(next) {
    token = null;
    person.value = null;
    stopToken.value = null;
    phase.value = next;
  }

  // src/core/live.ts
  var connection = y3("asking");
  var ASK_EVERY_MS = 5e3;
  var LOOK_EVERY_MS = 15e3;
  var ALL_EVERY_MS = 6e4;
  var FIRST_PAUSE_MS = 500;
  var LONGEST_PAUSE_MS = 15e3;
  var MOST_SINGLE = 20;
  var GATHER_MS = 150;
  var EXPIRED = 4403;
  var UNKNOWN = 4401;
  var socket = null;
  var pauseMs = FIRST_PAUSE_MS;
  var reconnect;
  var lastAll = 0;
  var lastLook = 0;
  var isReading = false;
  var runs = false;
  var dirty = { devices: /* @__PURE__ */ new Set(), actuators: /* @__PURE__ */ new Set(), safety: false, health: false, sensors: false };
  var gathering;
  function follow() {
    if (runs) return;
    runs = true;
    setInterval(() => void tick(), 1e3);
    addEventListener("online", () => hurry());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") hurry();
    });
    phase.subscribe((value) => {
      if (value === "in") hurry();
      else drop();
    });
  }
  function hurry() {
    lastAll = 0;
    pauseMs = FIRST_PAUSE_MS;
    clearTimeout(reconnect);
    reconnect = void 0;
    void tick();
  }
  async function tick() {
    if (phase.value !== "in") return;
    if (!socket && reconnect === void 0) connect();
    if (isReading || document.visibilityState === "hidden") return;
    const now2 = Date.now();
    const allEveryMs = connection.value === "live" ? ALL_EVERY_MS : ASK_EVERY_MS;
    isReading = true;
    try {
      if (now2 - lastAll >= allEveryMs) {
        lastAll = lastLook = now2;
        await readVersion();
        await readAll();
      } else if (now2 - lastLook >= LOOK_EVERY_MS) {
        lastLook = now2;
        await readHealth();
      }
    } catch (error) {
      if (!(error instanceof Refusal || error instanceof Unreachable)) throw error;
    } finally {
      isReading = false;
    }
  }
  function connect() {
    const token2 = accessToken();
    if (!token2) return;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const opened = new WebSocket(`${scheme}://${location.host}/ws`);
    socket = opened;
    opened.onopen = () => {
      opened.send(JSON.stringify({ token: token2 }));
      opened.send(JSON.stringify({}));
    };
    opened.onmessage = (message) => hear(opened, JSON.parse(String(message.data)));
    opened.onclose = (event) => {
      if (socket === opened) lost(event.code);
    };
  }
  function hear(from, message) {
    if (socket !== from) return;
    if (message.type === "subscribed") {
      pauseMs = FIRST_PAUSE_MS;
      connection.value = "live";
      lastAll = 0;
      return;
    }
    r3(() => message.events?.forEach(take2));
  }
  function take2(event) {
    const [kind, espId, gpio] = event.topic.split("/");
    if (event.type === "reading") {
      if (!takeReading(event)) dirty.sensors = true;
      else return;
    } else if (kind === "actuator" && espId) dirty.actuators.add(`${espId}/${gpio}`);
    else if (kind === "device" && espId) dirty.devices.add(espId);
    else if (kind === "safety") dirty.safety = true;
    else if (kind === "system") dirty.health = true;
    else return;
    gathering ??= setTimeout(() => void readDirty(), GATHER_MS);
  }
  async function readDirty() {
    const changed = { ...dirty, devices: [...dirty.devices], actuators: [...dirty.actuators] };
    dirty.devices.clear();
    dirty.actuators.clear();
    dirty.safety = dirty.health = dirty.sensors = false;
    const reads = [];
    if (changed.safety) reads.push(readSafety());
    if (changed.health || changed.safety) reads.push(readHealth());
    if (changed.sensors) reads.push(readSensors());
    if (changed.devices.length > MOST_SINGLE) reads.push(readDevices());
    else reads.push(...changed.devices.map(readDevice));
    if (changed.actuators.length > MOST_SINGLE) reads.push(readActuators());
    else
      reads.push(
        ...changed.actuators.map((key) => {
          const [espId = "", gpio = ""] = key.split("/");
          return readActuator(espId, Number(gpio));
        })
      );
    await Promise.allSettled(reads);
    gathering = void 0;
    if (dirty.devices.size || dirty.actuators.size || dirty.safety || dirty.health || dirty.sensors)
      gathering = setTimeout(() => void readDirty(), GATHER_MS);
  }
  function lost(code) {
    socket = null;
    connection.value = "asking";
    if (phase.value !== "in") return;
    if (code === EXPIRED || code === UNKNOWN) renew().catch(() => void 0);
    reconnect = setTimeout(() => {
      reconnect = void 0;
    }, pauseMs * (0.5 + Math.random()));
    pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
  }
  function drop() {
    const closed = socket;
    socket = null;
    connection.value = "asking";
    closed?.close();
  }

  // src/core/router.ts
  var current = y3(read());
  addEventListener("hashchange", () => {
    current.value = read();
  });
  var path = O(() => current.value);
  function read() {
    return location.hash.replace(/^#\/?/, "").split("/").filter((part) => part !== "").map(decoded);
  }
  function decoded(part) {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  }
  function hrefTo(...parts) {
    return `#/${parts.map((part) => encodeURIComponent(part)).join("/")}`;
  }

  // src/words/de.ts
  var one = (count, single, several) => `${count} ${count === 1 ? single : several}`;
  var de = {
    product: "God-Kaiser",
    overview: "Übersicht",
    devices: "Geräte",
    actuators: "Aktoren",
    settings: "Einstellungen",
    navigation: "Seiten",
    skipToContent: "Zum Inhalt springen",
    skipToStop: "Zum Not-Halt springen",
    stopFrame: "Not-Halt",
    noStopForViewers: "Sie haben die Rolle Betrachter: Sie sehen alles und schalten nichts, darum gibt es hier keinen Not-Halt.",
    loading: "Wird geladen …",
    close: "Schließen",
    cancel: "Abbrechen",
    retry: "Noch einmal versuchen",
    back: "Zurück",
    notFound: "Diese Seite gibt es nicht",
    notFoundAdvice: "Vielleicht ist die Adresse vertippt oder das Gerät wurde entfernt.",
    toOverview: "Zur Übersicht",
    logIn: "Anmelden",
    logOut: "Abmelden",
    username: "Benutzername",
    password: "Passwort",
    repeatPassword: "Passwort, noch einmal",
    showPassword: "Passwort anzeigen",
    loggingIn: "Wird angemeldet …",
    logInAgain: "Neu anmelden",
    logInAgainAdvice: "Ihre Sitzung ist abgelaufen. Was Sie eingegeben haben, ist noch da.",
    forgotPassword: "Vergessen? Ein Administrator setzt ein neues, unter /users der API.",
    welcome: "Willkommen",
    setUpIntro: "Dieses Gateway hat noch keinen Administrator. Legen Sie den ersten an: Er darf alles.",
    setUpToken: "Einrichtungs-Token",
    setUpTokenAdvice: "Das Gateway hat es beim Start ausgegeben (journalctl -u godkaiser). Es zeigt, dass Sie das dürfen.",
    passwordAdvice: "Mindestens 8 Zeichen.",
    passwordsDiffer: "Die beiden Passwörter sind nicht gleich.",
    createAdministrator: "Administrator anlegen",
    stopNeedsLogIn: "Um die Anlage jetzt anzuhalten, drücken Sie den fest verdrahteten Not-Halt. Der Not-Halt dieser Seite braucht eine Anmeldung.",
    required: "Bitte ausfüllen.",
    live: "Live",
    asking: "Alle paar Sekunden",
    liveAdvice: "Änderungen erscheinen sofort.",
    askingAdvice: "Die Live-Verbindung fehlt: Die Seite fragt alle paar Sekunden. Ein Proxy dazwischen muss Upgrade weitergeben.",
    away: (seconds) => `Seit ${seconds} keine Antwort vom Gateway. Was Sie sehen, kann alt sein; die Seite versucht es von selbst weiter.`,
    newVersion: "Das Gateway hat eine neuere Seite.",
    reload: "Neu laden",
    attention: "Was Aufmerksamkeit braucht",
    allWell: "Alles ist in Ordnung.",
    allWellMore: (online) => `${one(online, "Gerät", "Geräte")} online, kein Not-Halt, nichts wartet auf Sie.`,
    onNow: "Jetzt an",
    nothingOn: "Nichts ist an.",
    zones: "Zonen",
    noZones: "Noch ist kein Gerät in einer Zone.",
    noZone: "Ohne Zone",
    zoneOnline: (online, total) => `${online} von ${one(total, "Gerät", "Geräten")} online`,
    noValues: "Noch keine Werte",
    sensorsIn: (count) => one(count, "Sensor", "Sensoren"),
    range: (low, high) => `${low} bis ${high}`,
    emptySite: "Noch kein Gerät",
    emptySiteAdvice: "Richten Sie einen ESP32 auf den Broker dieses Gateways. Er erscheint hier von selbst und wartet auf Ihre Freigabe.",
    brokerAway: "Der MQTT-Broker ist nicht verbunden",
    brokerAwayAdvice: (address) => `Kein Befehl erreicht ein Gerät. Sehen Sie nach, ob der Broker unter ${address} läuft.`,
    databaseAway: "Die Datenbank ist nicht erreichbar",
    databaseAwayAdvice: "Regeln und Not-Halt arbeiten weiter; Messwerte liegen auf der Platte und werden nachgetragen. Sehen Sie nach der Datenbank.",
    notLatched: "Der Not-Halt ist nicht auf der Platte gesichert",
    notLatchedAdvice: "Nur AUS wird angenommen. Sehen Sie nach, ob die Platte voll oder defekt ist.",
    actorsDown: (count) => `${one(count, "Teil", "Teile")} des Gateways ${count === 1 ? "läuft" : "laufen"} nicht`,
    actorsDownAdvice: "Sie werden von selbst neu gestartet. Bleibt es dabei, sehen Sie ins Protokoll des Gateways.",
    pendingDevices: (count) => `${one(count, "Gerät wartet", "Geräte warten")} auf Freigabe`,
    pendingDevicesAdvice: "Prüfen Sie, ob Sie es kennen, und geben Sie es frei oder weisen Sie es ab.",
    offlineDevices: (count) => `${one(count, "Gerät", "Geräte")} offline`,
    offlineDevicesAdvice: "Prüfen Sie dort Strom und WLAN. Was sie zuletzt zeigten, kann alt sein.",
    unhealthyDevice: (name) => `${name} geht es nicht gut`,
    configFailed: (name) => `${name} hat seine Konfiguration nicht angenommen`,
    configFailedAdvice: "Öffnen Sie das Gerät und lesen Sie, was es gesagt hat.",
    gatewayWarning: "Das Gateway warnt",
    safetyAlarm: "Alarm des Sicherheitssystems",
    stopActive: (scope) => `Not-Halt: ${scope}`,
    automationHeld: "Regeln sind zurückgehalten",
    automationHeldAdvice: "Nach einem Not-Halt läuft nichts von selbst an. Lassen Sie die Regeln wieder zu, wenn die Anlage bereit ist.",
    resume: "Regeln wieder zulassen",
    clearStop: "Diesen Not-Halt aufheben",
    clearNothingStarts: "Das Aufheben startet nichts.",
    acceptUnconfirmed: "Aufheben, obwohl nicht jedes Gerät antwortet",
    acceptUnconfirmedAdvice: "Sie stehen dafür ein, dass die hier genannten Geräte sicher sind.",
    stoppedBy: (by, reason, when) => `Durch ${by}, ${when}: ${reason}`,
    confirmedOf: (confirmed, total) => `Bestätigt: ${confirmed} von ${total}`,
    notConfirmed: "Keine Bestätigung von",
    scopeAll: "alles",
    scopeZone: (name) => `Zone ${name}`,
    scopeDevice: (name) => `Gerät ${name}`,
    stopStates: {
      active: "angehalten",
      clearing: "wird aufgehoben",
      resuming: "wird wieder zugelassen",
      normal: "normal",
      unknown: "unbekannt"
    },
    searchDevices: "Geräte suchen",
    searchActuators: "Aktoren suchen",
    filter: "Zeigen",
    all: "Alle",
    pending: "Wartende",
    offlineFilter: "Offline",
    onFilter: "An",
    count: (shown, total) => shown === total ? `${total}` : `${shown} von ${total}`,
    nothingFound: "Nichts gefunden.",
    nothingFoundAdvice: "Ändern Sie die Suche oder den Filter.",
    online: "Online",
    offline: "Offline",
    approvals: { pending_approval: "Wartet auf Freigabe", approved: "Freigegeben", rejected: "Abgewiesen" },
    approve: "Freigeben",
    reject: "Abweisen",
    approveQuestion: (name) => `${name} freigeben?`,
    approveAdvice: "Es darf dann Messwerte liefern, die Regeln benutzen, und geschaltet werden.",
    rejectQuestion: (name) => `${name} abweisen?`,
    rejectAdvice: "Seine Messwerte werden nicht benutzt, und nichts daran wird geschaltet. Sie können es später freigeben.",
    reasonOptional: "Grund (darf leer sein)",
    lastSeen: "Zuletzt gesehen",
    never: "nie",
    zone: "Zone",
    board: "Platine",
    address: "Adresse",
    uptime: "Läuft seit",
    wifi: "WLAN",
    wifiStrength: (dbm) => `${dbm} dBm (${dbm >= -65 ? "gut" : dbm >= -75 ? "mäßig" : "schwach"})`,
    memory: "Freier Speicher",
    healthOf: (percent2) => `Gesundheit ${percent2} %`,
    configuration: "Konfiguration",
    syncStates: { in_sync: "stimmt überein", pending: "wird gesendet", failed: "fehlgeschlagen", unknown: "noch nicht bekannt", offline: "wird gesendet, sobald es online ist" },
    firstSeen: "Zuerst gesehen",
    decidedBy: "Entschieden durch",
    sensors: "Sensoren",
    noSensors: "Kein Sensor ist eingerichtet.",
    noActuators: "Kein Aktor ist eingerichtet.",
    noActuatorsAdvice: "Fügen Sie einen mit POST /actuators/{esp_id}/{gpio} der API hinzu; diese Seite kann es noch nicht.",
    gpio: (pin) => `GPIO ${pin}`,
    facts: "Angaben",
    advice: "Was zu tun ist",
    qualities: {
      excellent: "sehr gut",
      good: "gut",
      fair: "mäßig",
      poor: "schlecht",
      suspect: "zweifelhaft",
      stale: "alt",
      error: "Fehler",
      unknown: "nicht bewertet",
      bad: "unbrauchbar"
    },
    noReading: "noch kein Messwert",
    sensorTypes: {
      ds18b20: "Temperatur",
      sht31_temp: "Lufttemperatur",
      sht31_humidity: "Luftfeuchte",
      bme280_temp: "Lufttemperatur",
      bme280_humidity: "Luftfeuchte",
      bme280_pressure: "Luftdruck",
      bmp280_temp: "Lufttemperatur",
      bmp280_pressure: "Luftdruck",
      moisture: "Bodenfeuchte",
      ph: "pH",
      ec: "Leitfähigkeit",
      co2: "CO₂",
      light: "Licht",
      flow: "Durchfluss",
      digital: "Kontakt",
      mhz19_co2: "CO₂",
      vpd: "Sättigungsdefizit",
      level: "Füllstand",
      temperature: "Temperatur",
      humidity: "Luftfeuchte"
    },
    actuatorTypes: { relay: "Relais", pump: "Pumpe", valve: "Ventil", pwm: "PWM", fan: "Lüfter", heater: "Heizung", light: "Licht" },
    on: "An",
    off: "Aus",
    unknownState: "Nicht bekannt",
    stateNow: "Zustand",
    wished: "Gewünscht",
    reported: "Gemeldet",
    confirmedBy: "Letzte Antwort",
    noAnswerYet: "kein Befehl seit dem Start",
    owner: "Geschaltet durch",
    nobody: "niemanden",
    until: "Bis",
    left: (time) => `noch ${time}`,
    noEnd: "kein Ende bekannt",
    since: "An seit",
    kind: "Art",
    moving: "Ein Befehl ist unterwegs",
    issuers: { user: "", rule: "Regel", schedule: "Zeitplan", key: "API-Schlüssel", system: "das Gateway", local: "die Konsole", sequence: "Ablauf" },
    hold: "Handbetrieb",
    holdAdvice: "Solange Sie ihn halten, schalten Regeln ihn nicht ein.",
    heldBy: (by) => `Gehalten von ${by}`,
    heldUntilReleased: "bis er freigegeben wird",
    notHeld: "Regeln dürfen ihn schalten.",
    takeHold: "Halten",
    releaseHold: "Loslassen",
    holdFor: "Für",
    minutes: (count) => one(count, "Minute", "Minuten"),
    hours: (count) => one(count, "Stunde", "Stunden"),
    untilReleased: "Bis ich loslasse",
    command: "Schalten",
    switchOn: "Einschalten",
    switchOff: "Ausschalten",
    setTo: (percent2) => `Auf ${percent2} stellen`,
    offNow: (name) => `${name} ausschalten`,
    offAlways: "Aus ist immer erlaubt.",
    level: "Stärke",
    duration: "Wie lange",
    longest: (time) => `so lange wie erlaubt (${time})`,
    wouldPass: (count) => `Erlaubt: alle ${count} Prüfungen sind bestanden.`,
    wouldEnd: (time) => `Er geht nach ${time} von selbst aus.`,
    wouldFail: "Jetzt nicht erlaubt:",
    judging: "Wird geprüft …",
    allChecks: "Alle Prüfungen",
    passed: "bestanden",
    failed: "nicht bestanden",
    sending: "Gesendet, warte auf das Gerät …",
    outcomes: {
      confirmed: "Das Gerät hat es ausgeführt.",
      failed: "Das Gerät konnte es nicht.",
      timed_out: "Das Gerät hat nicht geantwortet.",
      superseded: "Ein neuerer Befehl trat an seine Stelle.",
      refused: "Es wurde abgelehnt.",
      pending: "Das Gerät hat noch nicht geantwortet.",
      withheld: "Es wurde zurückgehalten, weil ein Not-Halt kam.",
      unknown: "Nicht bekannt.",
      allowed: "Gegeben, bisher ohne Antwort.",
      denied: "Es wurde abgelehnt."
    },
    noRights: "Sie haben die Rolle Betrachter: Sie können zusehen, ein Bediener kann schalten.",
    checks: {
      actuator_known: "Der Aktor ist bekannt",
      value: "Die Stärke ist möglich",
      duration: "Die Dauer ist möglich",
      emergency_stop: "Kein Not-Halt",
      safety_record: "Die Sicherheitsdaten sind auf der Platte",
      link: "Der Broker ist verbunden",
      device_approved: "Das Gerät ist freigegeben",
      device_online: "Das Gerät ist online",
      state_known: "Sein Zustand ist bekannt",
      age: "Der Befehl ist frisch",
      device_limit: "Die eigene Grenze des Geräts hat nicht gegriffen",
      gpio: "Der Pin gehört ihm allein",
      interlocks: "Verriegelungen erlauben es",
      min_off_time: "Er hat lange genug geruht",
      min_on_time: "Er darf lange genug laufen",
      on_time_per_hour: "Laufzeit dieser Stunde",
      switching_rate: "Schaltungen dieser Stunde",
      automation: "Regeln dürfen handeln",
      owner: "Niemand sonst hat ihn"
    },
    why: "Warum?",
    whyIntro: "Die letzten Befehle, die neuesten zuerst, jeder zurück bis zu seiner Ursache.",
    noHistory: "Noch wurde nichts geschaltet.",
    story: {
      saw: "Gesehen",
      decided: "Entschieden",
      judged: "Geprüft",
      ended: "Ergebnis"
    },
    ruleNamed: (name) => `Regel ${name}`,
    wanted: (verb, level, time) => [verb, level, time && `für ${time}`].filter(Boolean).join(" "),
    checksPassed: (count) => `alle ${count} Prüfungen bestanden`,
    older: "Ältere zeigen",
    display: "Anzeige",
    languageChoice: "Sprache",
    coloursChoice: "Farben",
    coloursNames: { system: "wie das System", light: "hell", dark: "dunkel" },
    degreesChoice: "Temperaturen",
    account: "Konto",
    roles: { viewer: "Betrachter", operator: "Bediener", admin: "Administrator" },
    loggedInAs: (name, role) => `${name} (${role})`,
    gatewayVersion: (version, id) => `God-Kaiser ${version}, Gateway „${id}“`,
    apiPages: "Die API, jeder Endpunkt",
    problem: "Das hat nicht geklappt",
    unreachable: "Das Gateway antwortet nicht. Versuchen Sie es noch einmal.",
    serverSaid: "Das Gateway sagt"
  };

  // src/words/en.ts
  var one2 = (count, single, several) => `${count} ${count === 1 ? single : several}`;
  var en = {
    // The frame of the page
    product: "God-Kaiser",
    overview: "Overview",
    devices: "Devices",
    actuators: "Actuators",
    settings: "Settings",
    navigation: "Pages",
    skipToContent: "Skip to the content",
    skipToStop: "Skip to the stop button",
    stopFrame: "Emergency stop",
    noStopForViewers: "Your role is viewer: you see everything and can switch nothing, so there is no stop button here.",
    loading: "Loading …",
    close: "Close",
    cancel: "Cancel",
    retry: "Try again",
    back: "Back",
    notFound: "There is no such page",
    notFoundAdvice: "The address may be mistyped, or the device was removed.",
    toOverview: "To the overview",
    // Log-in and first start
    logIn: "Log in",
    logOut: "Log out",
    username: "User name",
    password: "Password",
    repeatPassword: "Password, again",
    showPassword: "Show the password",
    loggingIn: "Logging in …",
    logInAgain: "Log in again",
    logInAgainAdvice: "Your session has ended. What you typed is still there.",
    forgotPassword: "Forgotten? An administrator sets a new one under /users of the API.",
    welcome: "Welcome",
    setUpIntro: "This gateway has no administrator yet. Make the first one: it may do everything.",
    setUpToken: "Set-up token",
    setUpTokenAdvice: "The gateway printed it when it started (journalctl -u godkaiser). It shows that you may do this.",
    passwordAdvice: "At least 8 characters.",
    passwordsDiffer: "The two passwords are not the same.",
    createAdministrator: "Create the administrator",
    stopNeedsLogIn: "To stop the plant now, press the hard-wired stop. The stop of this page needs a log-in.",
    required: "Fill this in.",
    // The connection
    live: "Live",
    asking: "Every few seconds",
    liveAdvice: "Changes show at once.",
    askingAdvice: "The live connection is away: the page asks every few seconds. A proxy in between must pass Upgrade on.",
    away: (seconds) => `No answer from the gateway for ${seconds}. What you see may be old; the page tries again by itself.`,
    newVersion: "The gateway has a newer page.",
    reload: "Reload",
    // Overview
    attention: "What needs attention",
    allWell: "Everything is fine.",
    allWellMore: (online) => `${one2(online, "device", "devices")} online, no stop, nothing is waiting for you.`,
    onNow: "On now",
    nothingOn: "Nothing is on.",
    zones: "Zones",
    noZones: "No device is in a zone yet.",
    noZone: "Without a zone",
    zoneOnline: (online, total) => `${online} of ${one2(total, "device", "devices")} online`,
    noValues: "No values yet",
    sensorsIn: (count) => one2(count, "sensor", "sensors"),
    range: (low, high) => `${low} to ${high}`,
    emptySite: "No device yet",
    emptySiteAdvice: "Point an ESP32 at the broker of this gateway. It appears here by itself and waits for your approval.",
    // What is wrong, and what to do
    brokerAway: "The MQTT broker is not connected",
    brokerAwayAdvice: (address) => `No command reaches a device. Look whether the broker at ${address} runs.`,
    databaseAway: "The database is not available",
    databaseAwayAdvice: "Rules and stops go on; readings are kept on disk and stored later. Look at the database.",
    notLatched: "The stop is not kept on disk",
    notLatchedAdvice: "Only OFF is accepted. Look whether the disk is full or broken.",
    actorsDown: (count) => `${one2(count, "part", "parts")} of the gateway not running`,
    actorsDownAdvice: "They are started again by themselves. If it stays, look into the log of the gateway.",
    pendingDevices: (count) => `${one2(count, "device waits", "devices wait")} for approval`,
    pendingDevicesAdvice: "Look whether you know it, then approve or reject it.",
    offlineDevices: (count) => `${one2(count, "device", "devices")} offline`,
    offlineDevicesAdvice: "Check the power and the Wi-Fi there. What they last showed may be old.",
    unhealthyDevice: (name) => `${name} is not well`,
    configFailed: (name) => `${name} did not take its configuration`,
    configFailedAdvice: "Open the device and read what it said.",
    gatewayWarning: "The gateway warns",
    safetyAlarm: "Alarm of the safety system",
    stopActive: (scope) => `Emergency stop: ${scope}`,
    automationHeld: "Rules are held back",
    automationHeldAdvice: "After a stop nothing starts by itself. Let the rules act again when the plant is ready.",
    resume: "Let rules act again",
    clearStop: "Clear this stop",
    clearNothingStarts: "Clearing starts nothing.",
    acceptUnconfirmed: "Clear although not every device answers",
    acceptUnconfirmedAdvice: "You answer for it that the devices named here are safe.",
    stoppedBy: (by, reason, when) => `By ${by}, ${when}: ${reason}`,
    confirmedOf: (confirmed, total) => `Confirmed: ${confirmed} of ${total}`,
    notConfirmed: "No confirmation from",
    scopeAll: "everything",
    scopeZone: (name) => `zone ${name}`,
    scopeDevice: (name) => `device ${name}`,
    stopStates: {
      active: "stopped",
      clearing: "being cleared",
      resuming: "being resumed",
      normal: "normal",
      unknown: "unknown"
    },
    // Devices
    searchDevices: "Search devices",
    searchActuators: "Search actuators",
    filter: "Show",
    all: "All",
    pending: "Waiting",
    offlineFilter: "Offline",
    onFilter: "On",
    count: (shown, total) => shown === total ? `${total}` : `${shown} of ${total}`,
    nothingFound: "Nothing is found.",
    nothingFoundAdvice: "Change the search or the filter.",
    online: "Online",
    offline: "Offline",
    approvals: { pending_approval: "Waits for approval", approved: "Approved", rejected: "Rejected" },
    approve: "Approve",
    reject: "Reject",
    approveQuestion: (name) => `Approve ${name}?`,
    approveAdvice: "It may then send readings that rules use, and be switched.",
    rejectQuestion: (name) => `Reject ${name}?`,
    rejectAdvice: "Its readings are not used, and nothing on it is switched. You can approve it later.",
    reasonOptional: "Reason (may be empty)",
    lastSeen: "Last seen",
    never: "never",
    zone: "Zone",
    board: "Board",
    address: "Address",
    uptime: "Running for",
    wifi: "Wi-Fi",
    wifiStrength: (dbm) => `${dbm} dBm (${dbm >= -65 ? "good" : dbm >= -75 ? "fair" : "weak"})`,
    memory: "Free memory",
    healthOf: (percent2) => `Health ${percent2} %`,
    configuration: "Configuration",
    syncStates: { in_sync: "in step", pending: "being sent", failed: "failed", unknown: "not known yet", offline: "sent when it is online" },
    firstSeen: "First seen",
    decidedBy: "Decided by",
    sensors: "Sensors",
    noSensors: "No sensor is configured.",
    noActuators: "No actuator is configured.",
    noActuatorsAdvice: "Add one with POST /actuators/{esp_id}/{gpio} of the API; this page cannot yet.",
    gpio: (pin) => `GPIO ${pin}`,
    facts: "Facts",
    advice: "What to do",
    // Sensors
    qualities: {
      excellent: "excellent",
      good: "good",
      fair: "fair",
      poor: "poor",
      suspect: "suspect",
      stale: "old",
      error: "error",
      unknown: "not rated",
      bad: "bad"
    },
    noReading: "no reading yet",
    sensorTypes: {
      ds18b20: "Temperature",
      sht31_temp: "Air temperature",
      sht31_humidity: "Humidity",
      bme280_temp: "Air temperature",
      bme280_humidity: "Humidity",
      bme280_pressure: "Air pressure",
      bmp280_temp: "Air temperature",
      bmp280_pressure: "Air pressure",
      moisture: "Soil moisture",
      ph: "pH",
      ec: "Conductivity",
      co2: "CO₂",
      light: "Light",
      flow: "Flow",
      digital: "Contact",
      mhz19_co2: "CO₂",
      vpd: "Vapour pressure deficit",
      level: "Level",
      temperature: "Temperature",
      humidity: "Humidity"
    },
    // Actuators
    actuatorTypes: { relay: "Relay", pump: "Pump", valve: "Valve", pwm: "PWM", fan: "Fan", heater: "Heater", light: "Light" },
    on: "On",
    off: "Off",
    unknownState: "Not known",
    stateNow: "State",
    wished: "Wished",
    reported: "Reported",
    confirmedBy: "Last answer",
    noAnswerYet: "no command since the start",
    owner: "Switched by",
    nobody: "nobody",
    until: "Until",
    left: (time) => `${time} left`,
    noEnd: "no end known",
    since: "On for",
    kind: "Kind",
    moving: "A command is on its way",
    issuers: { user: "", rule: "rule", schedule: "schedule", key: "API key", system: "the gateway", local: "the console", sequence: "sequence" },
    hold: "Manual hold",
    holdAdvice: "While you hold it, rules do not switch it on.",
    heldBy: (by) => `Held by ${by}`,
    heldUntilReleased: "until it is released",
    notHeld: "Rules may switch it.",
    takeHold: "Hold it",
    releaseHold: "Release it",
    holdFor: "For",
    minutes: (count) => one2(count, "minute", "minutes"),
    hours: (count) => one2(count, "hour", "hours"),
    untilReleased: "Until I release it",
    // Commands
    command: "Switch",
    switchOn: "Switch on",
    switchOff: "Switch off",
    setTo: (percent2) => `Set to ${percent2}`,
    offNow: (name) => `Switch ${name} off`,
    offAlways: "Off is always allowed.",
    level: "Level",
    duration: "For how long",
    longest: (time) => `as long as allowed (${time})`,
    wouldPass: (count) => `Allowed: all ${count} checks pass.`,
    wouldEnd: (time) => `It goes off by itself after ${time}.`,
    wouldFail: "Not allowed now:",
    judging: "Being judged …",
    allChecks: "All checks",
    passed: "passed",
    failed: "failed",
    sending: "Sent, waiting for the device …",
    outcomes: {
      confirmed: "The device has done it.",
      failed: "The device could not do it.",
      timed_out: "The device did not answer.",
      superseded: "A newer command took its place.",
      refused: "It was refused.",
      pending: "The device has not answered yet.",
      withheld: "It was held back, as a stop came.",
      unknown: "Not known.",
      allowed: "Given, without an answer so far.",
      denied: "It was refused."
    },
    noRights: "Your role is viewer: you can look, and an operator can switch.",
    checks: {
      actuator_known: "The actuator is known",
      value: "The level is possible",
      duration: "The time is possible",
      emergency_stop: "No emergency stop",
      safety_record: "The safety record is on disk",
      link: "The broker is connected",
      device_approved: "The device is approved",
      device_online: "The device is online",
      state_known: "Its state is known",
      age: "The command is fresh",
      device_limit: "The device's own limit has not struck",
      gpio: "The pin belongs to it alone",
      interlocks: "Interlocks allow it",
      min_off_time: "It has rested long enough",
      min_on_time: "It may run long enough",
      on_time_per_hour: "Running time of this hour",
      switching_rate: "Switches of this hour",
      automation: "Rules may act",
      owner: "Nobody else has it"
    },
    // Why?
    why: "Why?",
    whyIntro: "The last commands, newest first, each back to its cause.",
    noHistory: "Nothing was switched yet.",
    story: {
      saw: "Saw",
      decided: "Decided",
      judged: "Judged",
      ended: "Ended"
    },
    ruleNamed: (name) => `Rule ${name}`,
    wanted: (verb, level, time) => [verb, level, time && `for ${time}`].filter(Boolean).join(" "),
    checksPassed: (count) => `all ${count} checks passed`,
    older: "Show older",
    // Settings
    display: "Display",
    languageChoice: "Language",
    coloursChoice: "Colours",
    coloursNames: { system: "as the system", light: "light", dark: "dark" },
    degreesChoice: "Temperatures",
    account: "Account",
    roles: { viewer: "viewer", operator: "operator", admin: "administrator" },
    loggedInAs: (name, role) => `${name} (${role})`,
    gatewayVersion: (version, id) => `God-Kaiser ${version}, gateway "${id}"`,
    apiPages: "The API, every endpoint",
    // What went wrong
    problem: "That did not work",
    unreachable: "The gateway does not answer. Try again.",
    serverSaid: "The gateway says"
  };

  // src/words/words.ts
  var words = O(() => language.value === "de" ? de : en);

  // src/core/names.ts
  function deviceName(device) {
    return device.name || device.device_id;
  }
  function actuatorName(actuator) {
    return actuator.name || `${actuatorType(actuator)} ${words.value.gpio(actuator.gpio)}`;
  }
  function actuatorType(actuator) {
    return words.value.actuatorTypes[actuator.actuator_type] ?? actuator.actuator_type;
  }
  function sensorType(kind) {
    return words.value.sensorTypes[kind] ?? kind;
  }
  function sensorName(sensor) {
    return sensor.name || sensorType(sensor.sensor_type);
  }
  function issuerName(issuer) {
    const at = issuer.indexOf(":");
    if (at === -1) return issuer;
    const kind = issuer.slice(0, at);
    const name = issuer.slice(at + 1);
    if (kind === "rule") return words.value.ruleNamed(ruleNames.value.get(name) ?? name);
    const word = words.value.issuers[kind];
    if (kind === "system") return `${word} (${name})`;
    return word ? `${word} ${name}` : name;
  }
  function scopeName(scope) {
    if (scope === "global") return words.value.scopeAll;
    const at = scope.indexOf(" ");
    const name = scope.slice(at + 1);
    return scope.startsWith("zone ") ? words.value.scopeZone(name) : words.value.scopeDevice(name);
  }
  function levelName(value) {
    if (value === null) return words.value.unknownState;
    if (value === 0) return words.value.off;
    return value === 1 ? words.value.on : new Intl.NumberFormat(document.documentElement.lang, { style: "percent" }).format(value);
  }

  // src/words/server.de.json
  var server_de_default = {
    "The device is already {}.": "Das Gerät ist schon {}.",
    "device {} has no actuator on GPIO {}": "Gerät {} hat keinen Aktor an GPIO {}",
    "{} is under the emergency stop of {} ({}, by {}: {}); clear the stop before you switch anything on": "{} steht unter dem Not-Halt für {} ({}, durch {}: {}); heben Sie ihn auf, bevor etwas eingeschaltet wird",
    "the safety record is not on disk; only OFF is accepted": "die Sicherheitsdaten sind nicht auf der Platte; nur AUS wird angenommen",
    "the MQTT broker is not connected, so no command reaches a device": "der MQTT-Broker ist nicht verbunden, darum erreicht kein Befehl ein Gerät",
    "device {} is not approved": "Gerät {} ist nicht freigegeben",
    "device {} is offline, so its state is unknown; only OFF is accepted": "Gerät {} ist offline, sein Zustand darum nicht bekannt; nur AUS wird angenommen",
    "{} has not reported the state of GPIO {} yet; it does so every 30 s, and OFF is accepted meanwhile": "{} hat den Zustand von GPIO {} noch nicht gemeldet; das tut es alle 30 s, und AUS wird solange angenommen",
    "it was decided before the gateway restarted; send it again": "er wurde vor einem Neustart des Gateways entschieden; senden Sie ihn noch einmal",
    "it was decided {} s ago; the limit is {} s": "er wurde vor {} s entschieden, erlaubt sind {} s",
    "{} has stopped GPIO {} by its own runtime limit; an operator unlocks it by clearing the device (POST /api/v1/actuators/clear_emergency)": "{} hat GPIO {} durch seine eigene Laufzeitgrenze angehalten; ein Bediener gibt ihn frei, indem er das Gerät aufhebt",
    "GPIO {} of {} is also used by {}": "GPIO {} von {} wird auch benutzt von {}",
    "its minimum rest has not begun, because it is not known to be off yet": "seine Ruhezeit hat nicht begonnen, weil noch nicht sicher ist, dass er aus ist",
    "it has been off for {} s; its minimum rest is {} s": "er ist seit {} s aus; er muss mindestens {} s ruhen",
    "it would end after {} s; its minimum run is {} s": "er würde nach {} s enden; er muss mindestens {} s laufen",
    "on for {} s in the last hour, at most {} s": "in der letzten Stunde {} s an, höchstens {} s sind erlaubt",
    "switched on {} times in the last hour, at most {}": "in der letzten Stunde {}-mal eingeschaltet, höchstens {}",
    "rules are held since the emergency stop; an operator lets them act again with POST /api/v1/actuators/resume": "Regeln sind seit dem Not-Halt zurückgehalten; ein Bediener lässt sie wieder zu",
    "held by {} for another {} s": "gehalten von {}, noch {} s",
    "held by {} until it is released": "gehalten von {}, bis er freigegeben wird",
    "{} with priority {} has the actuator on": "{} mit Vorrang {} hat den Aktor eingeschaltet",
    "not needed: switching off is always allowed": "nicht nötig: Ausschalten ist immer erlaubt",
    "not judged: the actuator is not known": "nicht geprüft: der Aktor ist nicht bekannt",
    offline: "offline",
    "two boards use this id: {}": "zwei Platinen benutzen diese Kennung: {}",
    "rebooted {} times in the last day": "am letzten Tag {}-mal neu gestartet",
    "not operational: configuration or approval is missing": "nicht betriebsbereit: Konfiguration oder Freigabe fehlt",
    "its flash memory differs from its working state": "sein Flash-Speicher weicht von seinem Arbeitszustand ab",
    "weak Wi-Fi ({} dBm)": "schwaches WLAN ({} dBm)",
    "little memory ({} bytes)": "wenig Speicher ({} Byte)",
    "The user name or the password is wrong.": "Der Benutzername oder das Passwort ist falsch.",
    "The gateway was set up already. Log in.": "Das Gateway ist schon eingerichtet. Melden Sie sich an.",
    "no answer within {} s": "keine Antwort innerhalb von {} s",
    "{}, on above {}, off below {}": "{}; an über {}, aus unter {}",
    "{}, on below {}, off above {}": "{}; an unter {}, aus über {}",
    "{} between {} and {}": "{}, zwischen {} und {}",
    "{}; {} s of readings are too few for a rate": "{}; Messwerte über {} s sind zu wenig für eine Änderung pro Minute",
    "{}, {} a minute over {} s {} {}": "{}; {} pro Minute über {} s, {} {}",
    "{} minus {} is {} {} {}": "{} minus {} ist {}, {} {}",
    "{}: no reading": "{}: kein Messwert",
    "{}: {}, but {} s old": "{}: {}, aber {} s alt",
    "{} is online": "{} ist online",
    "{} is offline": "{} ist offline",
    "{} is on": "{} ist an",
    "{} is off": "{} ist aus",
    "{} is unknown": "{} ist nicht bekannt",
    "it does not hold now": "es trifft jetzt nicht zu",
    "it holds for {} of {} s": "es trifft seit {} von {} s zu",
    "it holds for {} s": "es trifft seit {} s zu",
    "{}, which was missed": "{}, das war versäumt worden",
    "{} in {} to {}": "{}, im Fenster {} bis {}",
    AND: "und",
    OR: "oder",
    "{} of {}/{}: {}": "{} an {}/{}: {}",
    "the device reports the state": "das Gerät meldet den Zustand",
    "a newer command replaced it": "ein neuerer Befehl hat ihn ersetzt",
    "the actor that sends it crashed": "der Teil, der ihn sendet, ist abgestürzt"
  };

  // src/words/server.ts
  var patterns = Object.entries(server_de_default).map(([from, to]) => ({
    match: new RegExp(`^${from.split("{}").map(literal).join("(.+?)")}\\.?$`, "s"),
    to
  }));
  function said(text) {
    if (language.value === "en" || text === "") return { text };
    const found = translated(text);
    return found === null ? { text, lang: "en" } : { text: found };
  }
  function translated(text) {
    for (const { match, to } of patterns) {
      const found = match.exec(text);
      if (!found) continue;
      let at = 0;
      return to.replace(/\{\}/g, () => {
        const part = found[++at] ?? "";
        return translated(part) ?? part;
      });
    }
    return null;
  }
  var germanByCode = {
    INVALID_CREDENTIALS: "Der Benutzername oder das Passwort ist falsch.",
    RATE_LIMITED: "Zu viele Versuche. Warten Sie ein wenig.",
    SETUP_NEEDS_TOKEN: "Das Einrichtungs-Token stimmt nicht. Es steht in der Ausgabe des Gateways.",
    SETUP_CLOSED: "Das Gateway ist schon eingerichtet. Melden Sie sich an.",
    WEAK_PASSWORD: "Das Passwort ist zu schwach: Es braucht mindestens 8 Zeichen und höchstens 72 Byte.",
    PERMISSION_DENIED: "Ihre Rolle erlaubt das nicht.",
    NO_EMERGENCY_STOP: "Hier ist kein Not-Halt aktiv.",
    CLEAR_LOCKED_OUT: "Ein Not-Halt kann erst 5 Sekunden nach dem Drücken aufgehoben werden.",
    SERVICE_UNAVAILABLE: "Das Gateway kann das gerade nicht. Versuchen Sie es noch einmal.",
    CROSS_SITE_REQUEST: "Die Anfrage wurde abgelehnt: Sie kam nicht von dieser Seite. Ein Proxy muss Host weitergeben.",
    ESP_NOT_FOUND: "Dieses Gerät gibt es nicht mehr.",
    ACTUATOR_NOT_FOUND: "Diesen Aktor gibt es nicht mehr.",
    NOT_CONFIRMED: "Noch haben nicht alle Geräte bestätigt.",
    STOP_INPUT_PRESSED: "Ein Not-Halt-Taster ist noch gedrückt. Entriegeln Sie ihn zuerst.",
    INVALID_TRANSITION: "Das geht im jetzigen Zustand nicht."
  };
  function saidOf(error) {
    if (error instanceof Unreachable) return { text: words.value.unreachable };
    if (!(error instanceof Refusal)) throw error;
    const known = language.value === "de" ? germanByCode[error.code] : void 0;
    return known ? { text: known } : said(error.message);
  }
  function literal(text) {
    return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  }

  // node_modules/preact/jsx-runtime/dist/jsxRuntime.mjs
  var f4 = /* @__PURE__ */ Symbol.for("pv");
  var o4 = 0;
  function a4(t4, e4, n3, u4, a5, i4) {
    e4 || (e4 = {});
    var c4, l4, p5 = e4;
    if ("ref" in p5 && "function" != typeof t4) for (l4 in p5 = {}, e4) "ref" == l4 ? c4 = e4[l4] : p5[l4] = e4[l4];
    var s4 = { type: t4, props: p5, key: n3, ref: c4, __k: null, __: null, __b: 0, __e: null, __c: null, constructor: f4, __v: --o4, __i: -1, __u: 0 };
    return (a5 || i4) && (s4.__source = a5, s4.__self = i4), n.vnode && n.vnode(s4), s4;
  }

  // src/ui/parts.tsx
  function Title({ children, side }) {
    const heading = T2(null);
    A2(() => {
      heading.current?.focus({ preventScroll: true });
      scrollTo(0, 0);
    }, []);
    A2(() => {
      document.title = `${heading.current?.textContent ?? ""} · ${words.value.product}`;
    });
    return /* @__PURE__ */ a4("div", { class: "title", children: [
      /* @__PURE__ */ a4("h1", { tabIndex: -1, ref: heading, dir: "auto", children }),
      side
    ] });
  }
  function Card({ heading, side, children }) {
    const id = P2();
    return /* @__PURE__ */ a4("section", { class: "card", "aria-labelledby": id, children: [
      /* @__PURE__ */ a4("div", { class: "card-head", children: [
        /* @__PURE__ */ a4("h2", { id, children: heading }),
        side
      ] }),
      children
    ] });
  }
  function Chip({ tone, children }) {
    return /* @__PURE__ */ a4("span", { class: `chip ${tone}`, children });
  }
  function Empty({ text, advice }) {
    return /* @__PURE__ */ a4("div", { class: "empty", children: [
      /* @__PURE__ */ a4("p", { children: text }),
      advice && /* @__PURE__ */ a4("p", { class: "faint", children: advice })
    ] });
  }
  function Loading() {
    return /* @__PURE__ */ a4("p", { class: "empty faint", role: "status", children: words.value.loading });
  }
  function Foreign({ text, class: name }) {
    const found = said(text);
    return /* @__PURE__ */ a4("bdi", { class: name, lang: found.lang, children: found.text });
  }
  function Problem({ said: found }) {
    if (!found) return null;
    return /* @__PURE__ */ a4("p", { class: "problem", role: "alert", children: /* @__PURE__ */ a4("span", { lang: found.lang, children: found.text }) });
  }
  function ActionButton({
    act,
    children,
    class: name = "",
    disabled = false,
    describedBy
  }) {
    const busy = useSignal(false);
    const failed = useSignal(null);
    const press = async () => {
      if (busy.value) return;
      busy.value = true;
      failed.value = null;
      try {
        await act();
      } catch (error) {
        failed.value = saidOf(error);
      } finally {
        busy.value = false;
      }
    };
    return /* @__PURE__ */ a4($, { children: [
      /* @__PURE__ */ a4("button", { type: "button", class: name, disabled, "aria-busy": busy.value, "aria-describedby": describedBy, onClick: () => void press(), children }),
      /* @__PURE__ */ a4(Problem, { said: failed.value })
    ] });
  }
  function Field({
    label,
    advice,
    children
  }) {
    const id = P2();
    const described = advice ? `${id}-advice` : void 0;
    return /* @__PURE__ */ a4("div", { class: "field", children: [
      /* @__PURE__ */ a4("label", { for: id, children: label }),
      children({ id, "aria-describedby": described }),
      advice && /* @__PURE__ */ a4("p", { class: "faint", id: described, children: advice })
    ] });
  }
  function Facts({ rows }) {
    return /* @__PURE__ */ a4("dl", { class: "facts", children: rows.map(([name, value]) => /* @__PURE__ */ a4("div", { children: [
      /* @__PURE__ */ a4("dt", { children: name }),
      /* @__PURE__ */ a4("dd", { children: value })
    ] }, name)) });
  }
  function Choice({
    label,
    value,
    options,
    choose
  }) {
    const name = P2();
    return /* @__PURE__ */ a4("fieldset", { class: "choice", children: [
      /* @__PURE__ */ a4("legend", { children: label }),
      /* @__PURE__ */ a4("div", { children: options.map(([option, text]) => /* @__PURE__ */ a4("label", { class: option === value ? "chosen" : "", children: [
        /* @__PURE__ */ a4("input", { type: "radio", name, value: option, checked: option === value, onChange: () => choose(option) }),
        text
      ] }, option)) })
    ] });
  }
  function DeviceState({ device }) {
    if (device.status !== "approved") {
      const tone = device.status === "rejected" ? "calm" : "warn";
      return /* @__PURE__ */ a4(Chip, { tone, children: words.value.approvals[device.status] ?? device.status });
    }
    return device.online ? /* @__PURE__ */ a4(Chip, { tone: "good", children: words.value.online }) : /* @__PURE__ */ a4(Chip, { tone: "bad", children: words.value.offline });
  }
  function Level({ actuator }) {
    const value = actuator.reported_value;
    return /* @__PURE__ */ a4(Chip, { tone: value === null ? "warn" : value > 0 ? "on" : "calm", children: levelName(value) });
  }

  // src/pages/switching.tsx
  var WAIT_S = 10;
  var JUDGE_AGAIN_MS = 5e3;
  var TYPING_MS = 250;
  var DURATIONS_S = [0, 30, 60, 300, 900, 3600];
  async function give(actuator, body) {
    const place = `/actuators/${encodeURIComponent(actuator.esp_id)}/${actuator.gpio}`;
    try {
      return await ask(`${place}/command?wait=${WAIT_S}`, {
        method: "POST",
        body,
        // A press that is sent twice by the network is carried out once.
        headers: { "Idempotency-Key": randomKey() },
        patienceMs: (WAIT_S + 5) * 1e3
      });
    } finally {
      void readActuator(actuator.esp_id, actuator.gpio).catch(() => void 0);
    }
  }
  function randomKey() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  }
  function OffButton({ actuator }) {
    const text = words.value;
    if (!mayOperate.value) return null;
    return /* @__PURE__ */ a4(
      ActionButton,
      {
        act: async () => {
          await give(actuator, { command: "OFF" });
        },
        children: [
          text.switchOff,
          /* @__PURE__ */ a4("span", { class: "unseen", children: [
            " ",
            actuatorName(actuator)
          ] })
        ]
      }
    );
  }
  function CommandForm({ espId, gpio }) {
    const text = words.value;
    const actuator = actuators.value?.get(actuatorKey(espId, gpio));
    const level = useSignal(0.5);
    const seconds = useSignal("0");
    const verdict = useSignal(null);
    const failed = useSignal(null);
    const given = useSignal(null);
    const isPwm = actuator?.actuator_type === "pwm";
    const depends = [level.value, seconds.value, actuator, devices.value?.get(espId), safety.value];
    A2(() => {
      const gone = new AbortController();
      const judge = async () => {
        const value = isPwm ? `&command=PWM&value=${level.peek()}` : "&command=ON";
        const duration2 = seconds.peek() === "0" ? "" : `&duration=${seconds.peek()}`;
        const place = `/actuators/${encodeURIComponent(espId)}/${gpio}/explain?${(value + duration2).slice(1)}`;
        try {
          verdict.value = (await ask(place, { signal: gone.signal })).verdict;
          failed.value = null;
        } catch (error) {
          if (!gone.signal.aborted) failed.value = saidOf(error);
        }
      };
      const soon = setTimeout(() => void judge(), TYPING_MS);
      const again = setInterval(() => void judge(), JUDGE_AGAIN_MS);
      return () => {
        gone.abort();
        clearTimeout(soon);
        clearInterval(again);
      };
    }, depends);
    if (!actuator) return null;
    if (!mayOperate.value) return /* @__PURE__ */ a4("p", { class: "faint", children: text.noRights });
    const send = async (body) => {
      given.value = "sending";
      try {
        given.value = (await give(actuator, body)).outcome;
      } catch (error) {
        given.value = null;
        if (error instanceof Refusal && error.details.verdict) verdict.value = error.details.verdict;
        throw error;
      }
    };
    const duration = Number(seconds.value);
    const durations = DURATIONS_S.filter((one3) => one3 === 0 || one3 < actuator.max_runtime_s);
    return /* @__PURE__ */ a4("div", { class: "command", children: [
      isPwm && /* @__PURE__ */ a4(Field, { label: `${text.level}: ${percent(level.value)}`, children: (ids) => /* @__PURE__ */ a4(
        "input",
        {
          ...ids,
          type: "range",
          min: Math.max(actuator.min_value, 0.01),
          max: actuator.max_value,
          step: "0.01",
          value: level.value,
          onInput: (event) => level.value = Number(event.currentTarget.value)
        }
      ) }),
      /* @__PURE__ */ a4(
        Choice,
        {
          label: text.duration,
          value: seconds.value,
          options: durations.map((one3) => [String(one3), one3 === 0 ? text.longest(span(actuator.max_runtime_s)) : span(one3)]),
          choose: (value) => {
            seconds.value = value;
          }
        }
      ),
      /* @__PURE__ */ a4(Judged, { verdict: verdict.value }),
      /* @__PURE__ */ a4(Problem, { said: failed.value }),
      /* @__PURE__ */ a4("div", { class: "buttons", children: [
        /* @__PURE__ */ a4(
          ActionButton,
          {
            class: "primary",
            disabled: verdict.value === null || !verdict.value.allowed,
            describedBy: "verdict",
            act: () => send({ command: isPwm ? "PWM" : "ON", ...isPwm && { value: level.value }, ...duration > 0 && { duration } }),
            children: isPwm ? text.setTo(percent(level.value)) : text.switchOn
          }
        ),
        /* @__PURE__ */ a4(ActionButton, { act: () => send({ command: "OFF" }), children: text.switchOff }),
        /* @__PURE__ */ a4("span", { class: "faint", children: text.offAlways })
      ] }),
      /* @__PURE__ */ a4("p", { role: "status", class: "outcome", children: given.value === "sending" ? text.sending : given.value ? /* @__PURE__ */ a4($, { children: [
        text.outcomes[given.value.state] ?? given.value.state,
        " ",
        given.value.message && /* @__PURE__ */ a4(Foreign, { text: given.value.message, class: "faint" })
      ] }) : null })
    ] });
  }
  function Judged({ verdict }) {
    const text = words.value;
    if (!verdict)
      return /* @__PURE__ */ a4("p", { id: "verdict", class: "faint", children: text.judging });
    const against = verdict.checks.filter((check) => !check.passed);
    return /* @__PURE__ */ a4("div", { class: verdict.allowed ? "verdict good" : "verdict bad", children: [
      /* @__PURE__ */ a4("div", { id: "verdict", children: verdict.allowed ? /* @__PURE__ */ a4("p", { children: [
        text.wouldPass(verdict.checks.length),
        " ",
        verdict.lease_s > 0 && text.wouldEnd(span(verdict.lease_s))
      ] }) : /* @__PURE__ */ a4($, { children: [
        /* @__PURE__ */ a4("p", { children: text.wouldFail }),
        /* @__PURE__ */ a4("ul", { children: against.map((check) => /* @__PURE__ */ a4(CheckRow, { check }, check.name)) })
      ] }) }),
      /* @__PURE__ */ a4("details", { children: [
        /* @__PURE__ */ a4("summary", { children: text.allChecks }),
        /* @__PURE__ */ a4(ChecksList, { checks: verdict.checks })
      ] })
    ] });
  }
  function ChecksList({ checks }) {
    return /* @__PURE__ */ a4("ul", { class: "checks", children: checks.map((check) => /* @__PURE__ */ a4(CheckRow, { check }, check.name)) });
  }
  function CheckRow({ check }) {
    const text = words.value;
    return /* @__PURE__ */ a4("li", { class: check.passed ? "passed" : "not-passed", children: [
      /* @__PURE__ */ a4("span", { class: "unseen", children: [
        check.passed ? text.passed : text.failed,
        ": "
      ] }),
      text.checks[check.name] ?? check.name,
      check.reason && /* @__PURE__ */ a4($, { children: [
        ": ",
        /* @__PURE__ */ a4(Foreign, { text: check.reason })
      ] })
    ] });
  }

  // src/pages/stops.tsx
  function bodyOf(scope) {
    const at = scope.indexOf(" ");
    if (at === -1) return {};
    return scope.startsWith("zone ") ? { zone_id: scope.slice(at + 1) } : { esp_id: scope.slice(at + 1) };
  }
  function StopPanel({ stop }) {
    const text = words.value;
    const accept = useSignal(false);
    const isActive = stop.state === "active";
    const total = isActive ? stop.confirmed.length + stop.unconfirmed.length : stop.clearing.length;
    const open = isActive ? stop.unconfirmed : stop.clearing.filter((device) => !stop.confirmed.includes(device));
    const clear = async () => {
      await ask("/actuators/clear_emergency", { method: "POST", body: { ...bodyOf(stop.scope), accept_unconfirmed: accept.value } });
      await readSafety();
    };
    return /* @__PURE__ */ a4("li", { class: "trouble bad", children: [
      /* @__PURE__ */ a4("h3", { dir: "auto", children: [
        text.stopActive(scopeName(stop.scope)),
        " ",
        /* @__PURE__ */ a4("span", { class: "faint", children: [
          "(",
          text.stopStates[stop.state] ?? stop.state,
          ")"
        ] })
      ] }),
      /* @__PURE__ */ a4("p", { dir: "auto", children: text.stoppedBy(issuerName(stop.by), stop.reason, moment(stop.since)) }),
      total > 0 && /* @__PURE__ */ a4("p", { children: text.confirmedOf(stop.confirmed.length, total) }),
      open.length > 0 && /* @__PURE__ */ a4("p", { children: [
        text.notConfirmed,
        ": ",
        open.slice(0, 20).join(", ")
      ] }),
      isActive && Object.entries(stop.cannot_confirm ?? {}).map(([device, reason]) => /* @__PURE__ */ a4("p", { class: "faint", children: [
        device,
        ": ",
        /* @__PURE__ */ a4(Foreign, { text: reason })
      ] }, device)),
      mayOperate.value && stop.state !== "resuming" && /* @__PURE__ */ a4($, { children: [
        !isActive && open.length > 0 && /* @__PURE__ */ a4("label", { class: "tick", children: [
          /* @__PURE__ */ a4("input", { type: "checkbox", checked: accept.value, onChange: (event) => accept.value = event.currentTarget.checked }),
          /* @__PURE__ */ a4("span", { children: [
            text.acceptUnconfirmed,
            /* @__PURE__ */ a4("span", { class: "faint", children: [
              " ",
              text.acceptUnconfirmedAdvice
            ] })
          ] })
        ] }),
        (isActive || accept.value) && /* @__PURE__ */ a4("p", { children: [
          /* @__PURE__ */ a4(ActionButton, { act: clear, children: text.clearStop }),
          " ",
          /* @__PURE__ */ a4("span", { class: "faint", children: text.clearNothingStarts })
        ] })
      ] })
    ] });
  }
  function HeldAutomation({ scopes }) {
    const text = words.value;
    return /* @__PURE__ */ a4($, { children: scopes.map((scope) => /* @__PURE__ */ a4("li", { class: "trouble warn", children: [
      /* @__PURE__ */ a4("h3", { dir: "auto", children: [
        text.automationHeld,
        ": ",
        scopeName(scope)
      ] }),
      /* @__PURE__ */ a4("p", { children: text.automationHeldAdvice }),
      mayOperate.value && /* @__PURE__ */ a4(
        ActionButton,
        {
          act: async () => {
            await ask("/actuators/resume", { method: "POST", body: bodyOf(scope) });
            await readSafety();
          },
          children: text.resume
        }
      )
    ] }, scope)) });
  }

  // src/pages/overview.tsx
  var POORLY = 60;
  var MOST_NAMED = 5;
  function OverviewPage() {
    const text = words.value;
    return /* @__PURE__ */ a4($, { children: [
      /* @__PURE__ */ a4(Title, { children: text.overview }),
      /* @__PURE__ */ a4(Attention, {}),
      /* @__PURE__ */ a4(OnNow, {}),
      /* @__PURE__ */ a4(Zones, {})
    ] });
  }
  function Attention() {
    const text = words.value;
    const found = devices.value && health.value && safety.value ? troubles(devices.value, health.value, safety.value) : null;
    return /* @__PURE__ */ a4(Card, { heading: text.attention, children: found === null ? /* @__PURE__ */ a4(Loading, {}) : devices.value?.size === 0 && found.length === 0 ? /* @__PURE__ */ a4(Empty, { text: text.emptySite, advice: text.emptySiteAdvice }) : found.length === 0 ? /* @__PURE__ */ a4("p", { class: "all-well", children: [
      /* @__PURE__ */ a4(Chip, { tone: "good", children: text.allWell }),
      " ",
      text.allWellMore(health.value?.devices.online ?? 0)
    ] }) : /* @__PURE__ */ a4("ul", { class: "troubles", children: found }) });
  }
  function troubles(all, state, stops) {
    const text = words.value;
    const found = stops.stops.map((stop) => /* @__PURE__ */ a4(StopPanel, { stop }, `stop ${stop.scope}`));
    if (stops.automation_held.length > 0) found.push(/* @__PURE__ */ a4(HeldAutomation, { scopes: stops.automation_held }, "held"));
    if (stops.alarm)
      found.push(
        /* @__PURE__ */ a4(Trouble, { tone: "bad", heading: text.safetyAlarm, children: /* @__PURE__ */ a4(Foreign, { text: stops.alarm }) }, "alarm")
      );
    if (!stops.latched) found.push(/* @__PURE__ */ a4(Trouble, { tone: "bad", heading: text.notLatched, advice: text.notLatchedAdvice }, "latch"));
    if (!state.broker.connected)
      found.push(
        /* @__PURE__ */ a4(Trouble, { tone: "bad", heading: text.brokerAway, advice: text.brokerAwayAdvice(state.broker.address), children: state.broker.error && /* @__PURE__ */ a4(Foreign, { text: state.broker.error, class: "faint" }) }, "broker")
      );
    if (!state.database.ok)
      found.push(
        /* @__PURE__ */ a4(Trouble, { tone: "bad", heading: text.databaseAway, advice: text.databaseAwayAdvice, children: /* @__PURE__ */ a4(Foreign, { text: state.database.error, class: "faint" }) }, "database")
      );
    if (state.actors.not_up > 0)
      found.push(
        /* @__PURE__ */ a4(Trouble, { tone: "warn", heading: text.actorsDown(state.actors.not_up), advice: text.actorsDownAdvice, children: state.actors.paths.slice(0, MOST_NAMED).join(", ") }, "actors")
      );
    for (const warning of state.warnings)
      found.push(
        /* @__PURE__ */ a4(Trouble, { tone: "warn", heading: text.gatewayWarning, children: /* @__PURE__ */ a4(Foreign, { text: warning }) }, warning)
      );
    const rows = [...all.values()];
    const pending = rows.filter((device) => device.status === "pending_approval");
    const approved = rows.filter((device) => device.status === "approved");
    const offline = approved.filter((device) => !device.online);
    if (pending.length > 0)
      found.push(
        /* @__PURE__ */ a4(Trouble, { tone: "warn", heading: text.pendingDevices(pending.length), advice: text.pendingDevicesAdvice, children: /* @__PURE__ */ a4(DeviceLinks, { devices: pending }) }, "pending")
      );
    if (offline.length > 0)
      found.push(
        /* @__PURE__ */ a4(Trouble, { tone: "bad", heading: text.offlineDevices(offline.length), advice: text.offlineDevicesAdvice, children: /* @__PURE__ */ a4(DeviceLinks, { devices: offline }) }, "offline")
      );
    for (const device of approved.filter((one3) => one3.online && one3.health < POORLY).slice(0, MOST_NAMED))
      found.push(
        /* @__PURE__ */ a4(Trouble, { tone: "warn", heading: text.unhealthyDevice(deviceName(device)), children: /* @__PURE__ */ a4("a", { href: hrefTo("devices", device.device_id), children: device.health_reasons.map((reason, at) => /* @__PURE__ */ a4("span", { children: [
          at > 0 && "; ",
          /* @__PURE__ */ a4(Foreign, { text: reason })
        ] }, reason)) }) }, `health ${device.device_id}`)
      );
    for (const device of approved.filter((one3) => one3.config_sync === "failed").slice(0, MOST_NAMED))
      found.push(
        /* @__PURE__ */ a4(Trouble, { tone: "warn", heading: text.configFailed(deviceName(device)), children: /* @__PURE__ */ a4("a", { href: hrefTo("devices", device.device_id), children: text.configFailedAdvice }) }, `config ${device.device_id}`)
      );
    return found;
  }
  function Trouble({ tone, heading, advice, children }) {
    return /* @__PURE__ */ a4("li", { class: `trouble ${tone}`, children: [
      /* @__PURE__ */ a4("h3", { dir: "auto", children: heading }),
      advice && /* @__PURE__ */ a4("p", { children: advice }),
      children && /* @__PURE__ */ a4("p", { children })
    ] });
  }
  function DeviceLinks({ devices: rows }) {
    return /* @__PURE__ */ a4($, { children: [
      rows.slice(0, MOST_NAMED).map((device, at) => /* @__PURE__ */ a4("span", { children: [
        at > 0 && ", ",
        /* @__PURE__ */ a4("a", { href: hrefTo("devices", device.device_id), class: "long", children: /* @__PURE__ */ a4("bdi", { children: deviceName(device) }) })
      ] }, device.device_id)),
      rows.length > MOST_NAMED && /* @__PURE__ */ a4($, { children: [
        ", ",
        /* @__PURE__ */ a4("a", { href: hrefTo("devices"), children: "…" })
      ] })
    ] });
  }
  var running = O(
    () => [...actuators.value?.values() ?? []].filter((one3) => (one3.reported_value ?? 0) > 0 || one3.desired_value > 0).sort((a5, b3) => (a5.lease_until ?? Infinity) - (b3.lease_until ?? Infinity))
  );
  function OnNow() {
    const text = words.value;
    return /* @__PURE__ */ a4(Card, { heading: text.onNow, side: /* @__PURE__ */ a4("a", { href: hrefTo("actuators"), children: text.actuators }), children: actuators.value === null ? /* @__PURE__ */ a4(Loading, {}) : running.value.length === 0 ? /* @__PURE__ */ a4(Empty, { text: text.nothingOn }) : /* @__PURE__ */ a4("ul", { class: "tiles", children: running.value.map((one3) => /* @__PURE__ */ a4(Running, { actuator: one3 }, `${one3.esp_id}/${one3.gpio}`)) }) });
  }
  function Running({ actuator }) {
    const text = words.value;
    const device = devices.value?.get(actuator.esp_id);
    return /* @__PURE__ */ a4("li", { class: "tile on", children: [
      /* @__PURE__ */ a4("a", { class: "tile-name long", href: hrefTo("actuators", actuator.esp_id, actuator.gpio), children: /* @__PURE__ */ a4("bdi", { children: actuatorName(actuator) }) }),
      /* @__PURE__ */ a4("span", { class: "faint long", children: /* @__PURE__ */ a4("bdi", { children: device ? deviceName(device) : actuator.esp_id }) }),
      /* @__PURE__ */ a4("span", { class: "big", children: levelName(actuator.reported_value) }),
      /* @__PURE__ */ a4(Lease, { actuator }),
      /* @__PURE__ */ a4("span", { class: "faint long", dir: "auto", children: actuator.owner && `${text.owner} ${issuerName(actuator.owner)}` }),
      /* @__PURE__ */ a4(OffButton, { actuator })
    ] });
  }
  function Lease({ actuator }) {
    const text = words.value;
    if (actuator.lease_until === null) return /* @__PURE__ */ a4("span", { class: "faint", children: text.noEnd });
    const left = Math.max(0, actuator.lease_until - now.value);
    const whole = actuator.on_since === null ? actuator.max_runtime_s : Math.max(1, actuator.lease_until - actuator.on_since);
    return /* @__PURE__ */ a4("span", { class: "lease", children: [
      /* @__PURE__ */ a4("span", { children: text.left(clock(left)) }),
      /* @__PURE__ */ a4("progress", { max: whole, value: Math.min(whole, left), "aria-label": text.until })
    ] });
  }
  var zones = O(() => {
    if (devices.value === null) return null;
    const found = /* @__PURE__ */ new Map();
    const zoneOf = /* @__PURE__ */ new Map();
    for (const device of devices.value.values()) {
      if (device.status !== "approved") continue;
      let zone = found.get(device.zone_id);
      if (!zone) {
        zone = { id: device.zone_id, name: "", online: 0, total: 0, kinds: /* @__PURE__ */ new Map() };
        found.set(device.zone_id, zone);
      }
      zone.name ||= device.zone_name;
      zone.total += 1;
      zone.online += device.online ? 1 : 0;
      zoneOf.set(device.device_id, zone);
    }
    for (const one3 of sensors.value?.values() ?? []) {
      const sensor = one3.value;
      const value = sensor.latest?.value;
      const zone = zoneOf.get(sensor.esp_id);
      if (!zone || value === null || value === void 0) continue;
      const kind = zone.kinds.get(sensor.sensor_type);
      if (!kind) zone.kinds.set(sensor.sensor_type, { unit: sensor.latest?.unit ?? "", low: value, high: value, sum: value, count: 1 });
      else {
        kind.low = Math.min(kind.low, value);
        kind.high = Math.max(kind.high, value);
        kind.sum += value;
        kind.count += 1;
      }
    }
    return [...found.values()].sort((a5, b3) => compare(a5.name || a5.id || "￿", b3.name || b3.id || "￿"));
  });
  function Zones() {
    const text = words.value;
    const found = zones.value;
    return /* @__PURE__ */ a4(Card, { heading: text.zones, children: found === null ? /* @__PURE__ */ a4(Loading, {}) : found.length === 0 ? /* @__PURE__ */ a4(Empty, { text: text.noZones }) : /* @__PURE__ */ a4("ul", { class: "zones", children: found.map((zone) => /* @__PURE__ */ a4("li", { children: [
      /* @__PURE__ */ a4("h3", { class: "long", children: /* @__PURE__ */ a4("bdi", { children: zone.name || zone.id || text.noZone }) }),
      /* @__PURE__ */ a4("p", { class: "faint", children: text.zoneOnline(zone.online, zone.total) }),
      zone.kinds.size === 0 ? /* @__PURE__ */ a4("p", { class: "faint", children: text.noValues }) : /* @__PURE__ */ a4("dl", { class: "values", children: [...zone.kinds].map(([kind, one3]) => /* @__PURE__ */ a4("div", { children: [
        /* @__PURE__ */ a4("dt", { children: sensorType(kind) }),
        /* @__PURE__ */ a4("dd", { class: "big", children: quantity(one3.sum / one3.count, one3.unit) }),
        /* @__PURE__ */ a4("dd", { class: "faint", children: one3.count > 1 ? text.range(quantity(one3.low, one3.unit), quantity(one3.high, one3.unit)) : " " })
      ] }, kind)) })
    ] }, zone.id)) }) });
  }

  // src/pages/actuator.tsx
  function ActuatorPage({ espId, gpio }) {
    const text = words.value;
    const actuator = actuators.value?.get(actuatorKey(espId, gpio));
    if (actuators.value === null) return /* @__PURE__ */ a4(Loading, {});
    if (!actuator)
      return /* @__PURE__ */ a4($, { children: [
        /* @__PURE__ */ a4(Title, { children: text.notFound }),
        /* @__PURE__ */ a4(Empty, { text: text.notFoundAdvice }),
        /* @__PURE__ */ a4("p", { children: /* @__PURE__ */ a4("a", { href: hrefTo("actuators"), children: text.actuators }) })
      ] });
    const device = devices.value?.get(espId);
    return /* @__PURE__ */ a4($, { children: [
      /* @__PURE__ */ a4("p", { class: "crumb long", children: [
        /* @__PURE__ */ a4("a", { href: hrefTo("actuators"), children: text.actuators }),
        " › ",
        /* @__PURE__ */ a4("a", { href: hrefTo("devices", espId), children: /* @__PURE__ */ a4("bdi", { children: device ? deviceName(device) : espId }) })
      ] }),
      /* @__PURE__ */ a4(Title, { side: /* @__PURE__ */ a4(Level, { actuator }), children: actuatorName(actuator) }),
      /* @__PURE__ */ a4("div", { class: "columns", children: [
        /* @__PURE__ */ a4(StateCard, { actuator }),
        /* @__PURE__ */ a4(Card, { heading: text.command, children: /* @__PURE__ */ a4(CommandForm, { espId, gpio }) }),
        /* @__PURE__ */ a4(HoldCard, { actuator })
      ] }),
      /* @__PURE__ */ a4(WhyCard, { espId, gpio })
    ] });
  }
  function StateCard({ actuator }) {
    const text = words.value;
    const outcome = actuator.last_outcome;
    const isOn = (actuator.reported_value ?? 0) > 0 || actuator.desired_value > 0;
    return /* @__PURE__ */ a4(Card, { heading: text.stateNow, children: [
      actuator.pending_correlation_id && /* @__PURE__ */ a4("p", { role: "status", class: "faint", children: text.moving }),
      /* @__PURE__ */ a4(
        Facts,
        {
          rows: [
            [text.wished, levelName(actuator.desired_value)],
            [text.reported, `${levelName(actuator.reported_value)}${actuator.reported_at ? `, ${ago(actuator.reported_at)}` : ""}`],
            [
              text.confirmedBy,
              outcome ? /* @__PURE__ */ a4($, { children: [
                text.outcomes[outcome.state] ?? outcome.state,
                " ",
                outcome.at > 0 && /* @__PURE__ */ a4("span", { class: "faint", children: ago(outcome.at) })
              ] }) : text.noAnswerYet
            ],
            [text.owner, /* @__PURE__ */ a4("bdi", { children: actuator.owner ? issuerName(actuator.owner) : text.nobody })],
            ...isOn ? [
              [text.until, /* @__PURE__ */ a4(Lease, { actuator })],
              [text.since, actuator.on_since ? span(now.value - actuator.on_since) : "–"]
            ] : [],
            [text.kind, `${actuatorType(actuator)}, ${text.gpio(actuator.gpio)}`]
          ]
        }
      )
    ] });
  }
  var HOLDS = ["900", "3600", "14400", "forever"];
  function HoldCard({ actuator }) {
    const text = words.value;
    const chosen = useSignal("3600");
    const place = `/actuators/${encodeURIComponent(actuator.esp_id)}/${actuator.gpio}/hold`;
    const held = actuator.hold && (actuator.hold.until === null || actuator.hold.until > now.value) ? actuator.hold : null;
    const after = () => readActuator(actuator.esp_id, actuator.gpio);
    return /* @__PURE__ */ a4(Card, { heading: text.hold, children: [
      /* @__PURE__ */ a4("p", { dir: "auto", children: held ? /* @__PURE__ */ a4($, { children: [
        /* @__PURE__ */ a4("strong", { children: text.heldBy(issuerName(held.by)) }),
        " ",
        held.until === null ? text.heldUntilReleased : text.left(span(held.until - now.value))
      ] }) : text.notHeld }),
      /* @__PURE__ */ a4("p", { class: "faint", children: text.holdAdvice }),
      mayOperate.value && (held ? /* @__PURE__ */ a4(
        ActionButton,
        {
          act: async () => {
            await ask(place, { method: "DELETE" });
            await after();
          },
          children: text.releaseHold
        }
      ) : /* @__PURE__ */ a4($, { children: [
        /* @__PURE__ */ a4(
          Choice,
          {
            label: text.holdFor,
            value: chosen.value,
            options: HOLDS.map((one3) => [one3, one3 === "forever" ? text.untilReleased : span(Number(one3))]),
            choose: (value) => {
              chosen.value = value;
            }
          }
        ),
        /* @__PURE__ */ a4(
          ActionButton,
          {
            act: async () => {
              await ask(place, { method: "POST", body: chosen.value === "forever" ? {} : { seconds: Number(chosen.value) } });
              await after();
            },
            children: text.takeHold
          }
        )
      ] }))
    ] });
  }
  var SHOWN = 5;
  var READ_AGAIN_MS = 3e3;
  function WhyCard({ espId, gpio }) {
    const text = words.value;
    const limit = useSignal(SHOWN);
    const found = useSignal(null);
    const failed = useSignal(null);
    const actuator = actuators.value?.get(actuatorKey(espId, gpio));
    A2(() => {
      let isGone = false;
      const read2 = async () => {
        try {
          const answer = await ask(`/logic/explain?actuator=${encodeURIComponent(`${espId}:${gpio}`)}&limit=${limit.value}`);
          if (isGone) return;
          found.value = answer.data;
          failed.value = null;
        } catch (error) {
          if (!isGone) failed.value = saidOf(error);
        }
      };
      void read2();
      const again = setInterval(() => void read2(), READ_AGAIN_MS);
      return () => {
        isGone = true;
        clearInterval(again);
      };
    }, [limit.value, actuator?.pending_correlation_id, actuator?.last_outcome?.correlation_id, actuator?.last_outcome?.state]);
    return /* @__PURE__ */ a4(Card, { heading: text.why, children: [
      /* @__PURE__ */ a4("p", { class: "faint", children: text.whyIntro }),
      /* @__PURE__ */ a4(Problem, { said: failed.value }),
      found.value === null ? !failed.value && /* @__PURE__ */ a4(Loading, {}) : found.value.length === 0 ? /* @__PURE__ */ a4(Empty, { text: text.noHistory }) : /* @__PURE__ */ a4($, { children: [
        /* @__PURE__ */ a4("ol", { class: "story", children: found.value.map((one3) => /* @__PURE__ */ a4(Told, { told: one3 }, one3.correlation_id)) }),
        found.value.length === limit.value && limit.value < 100 && /* @__PURE__ */ a4("button", { type: "button", onClick: () => limit.value = Math.min(100, limit.value * 4), children: text.older })
      ] })
    ] });
  }
  function Told({ told }) {
    const text = words.value;
    const against = told.checks.filter((check) => !check.passed);
    const level = told.value !== null && told.value > 0 && told.value < 1 ? levelName(told.value) : "";
    const verb = told.verb === "OFF" || told.value === 0 ? text.off : text.on;
    return /* @__PURE__ */ a4("li", { children: [
      /* @__PURE__ */ a4("p", { class: "story-head", children: [
        /* @__PURE__ */ a4("time", { dateTime: new Date(told.requested_at * 1e3).toISOString(), children: moment(told.requested_at) }),
        " ",
        /* @__PURE__ */ a4("strong", { dir: "auto", children: [
          text.wanted(verb, level, told.duration_s > 0 ? span(told.duration_s) : ""),
          " – ",
          issuerName(told.issuer)
        ] })
      ] }),
      /* @__PURE__ */ a4("dl", { children: [
        told.execution?.findings?.length ? /* @__PURE__ */ a4("div", { children: [
          /* @__PURE__ */ a4("dt", { children: text.story.saw }),
          /* @__PURE__ */ a4("dd", { children: told.execution.findings.map((finding) => /* @__PURE__ */ a4("p", { children: /* @__PURE__ */ a4(Foreign, { text: finding.detail }) }, finding.path)) })
        ] }) : null,
        /* @__PURE__ */ a4("div", { children: [
          /* @__PURE__ */ a4("dt", { children: text.story.judged }),
          /* @__PURE__ */ a4("dd", { children: against.length ? /* @__PURE__ */ a4(ChecksList, { checks: against }) : text.checksPassed(told.checks.length) })
        ] }),
        /* @__PURE__ */ a4("div", { children: [
          /* @__PURE__ */ a4("dt", { children: text.story.ended }),
          /* @__PURE__ */ a4("dd", { children: [
            text.outcomes[told.state] ?? told.state,
            " ",
            told.message && /* @__PURE__ */ a4(Foreign, { text: told.message, class: "faint" })
          ] })
        ] })
      ] })
    ] });
  }

  // src/ui/rows.tsx
  var ROW_PX = 72;
  var DRAWN_WHOLE = 60;
  var BEYOND = 8;
  function Rows({
    label,
    rows,
    keyOf,
    draw
  }) {
    const list = T2(null);
    const shown = useSignal({ from: 0, to: DRAWN_WHOLE });
    const isLong = rows.length > DRAWN_WHOLE;
    A2(() => {
      if (!isLong) return void 0;
      const look = () => {
        const top = list.current?.getBoundingClientRect().top ?? 0;
        const from2 = Math.max(0, Math.floor(-top / ROW_PX) - BEYOND);
        const to2 = Math.min(rows.length, Math.ceil((innerHeight - top) / ROW_PX) + BEYOND);
        const before = shown.peek();
        if (before.from !== from2 || before.to !== to2) shown.value = { from: from2, to: to2 };
      };
      look();
      addEventListener("scroll", look, { passive: true });
      addEventListener("resize", look);
      return () => {
        removeEventListener("scroll", look);
        removeEventListener("resize", look);
      };
    }, [isLong, rows.length]);
    const from = isLong ? Math.min(shown.value.from, rows.length) : 0;
    const to = isLong ? Math.min(Math.max(shown.value.to, from), rows.length) : rows.length;
    const space = { paddingTop: `${from * ROW_PX}px`, paddingBottom: `${(rows.length - to) * ROW_PX}px` };
    return /* @__PURE__ */ a4("ul", { class: "rows", "aria-label": label, ref: list, style: isLong ? space : void 0, children: rows.slice(from, to).map((row, at) => /* @__PURE__ */ a4("li", { "aria-setsize": rows.length, "aria-posinset": from + at + 1, children: draw(row) }, keyOf(row))) });
  }

  // src/pages/actuators.tsx
  function ActuatorsPage() {
    const text = words.value;
    const search = useSignal("");
    const shown = useSignal("all");
    const all = actuators.value;
    if (all === null)
      return /* @__PURE__ */ a4($, { children: [
        /* @__PURE__ */ a4(Title, { children: text.actuators }),
        /* @__PURE__ */ a4(Loading, {})
      ] });
    const wanted = search.value.trim().toLowerCase();
    const rows = [...all.values()].filter((one3) => shown.value === "all" || (one3.reported_value ?? 0) > 0 || one3.desired_value > 0).filter((one3) => !wanted || textOf(one3).toLowerCase().includes(wanted)).sort((a5, b3) => compare(a5.esp_id, b3.esp_id) || a5.gpio - b3.gpio);
    return /* @__PURE__ */ a4($, { children: [
      /* @__PURE__ */ a4(Title, { side: /* @__PURE__ */ a4("span", { class: "faint", children: text.count(rows.length, all.size) }), children: text.actuators }),
      /* @__PURE__ */ a4("div", { class: "tools", children: [
        /* @__PURE__ */ a4(Field, { label: text.searchActuators, children: (ids) => /* @__PURE__ */ a4("input", { ...ids, type: "search", value: search.value, onInput: (event) => search.value = event.currentTarget.value }) }),
        /* @__PURE__ */ a4(
          Choice,
          {
            label: text.filter,
            value: shown.value,
            options: [
              ["all", text.all],
              ["on", text.onFilter]
            ],
            choose: (value) => {
              shown.value = value;
            }
          }
        )
      ] }),
      all.size === 0 ? /* @__PURE__ */ a4(Empty, { text: text.noActuators, advice: text.noActuatorsAdvice }) : rows.length === 0 ? /* @__PURE__ */ a4(Empty, { text: text.nothingFound, advice: text.nothingFoundAdvice }) : /* @__PURE__ */ a4(Rows, { label: text.actuators, rows, keyOf: (one3) => actuatorKey(one3.esp_id, one3.gpio), draw: (one3) => /* @__PURE__ */ a4(ActuatorRow, { actuator: one3 }) })
    ] });
  }
  function textOf(actuator) {
    const device = devices.value?.get(actuator.esp_id);
    return [actuatorName(actuator), actuatorType(actuator), actuator.esp_id, device && deviceName(device), device?.zone_id].join(" ");
  }
  function ActuatorRow({ actuator }) {
    const text = words.value;
    const device = devices.value?.get(actuator.esp_id);
    const isOn = (actuator.reported_value ?? 0) > 0;
    return /* @__PURE__ */ a4("a", { class: "row", href: hrefTo("actuators", actuator.esp_id, actuator.gpio), children: [
      /* @__PURE__ */ a4("span", { class: "row-name", children: [
        /* @__PURE__ */ a4("bdi", { class: "long strong", children: actuatorName(actuator) }),
        /* @__PURE__ */ a4("bdi", { class: "long faint", children: [
          device ? deviceName(device) : actuator.esp_id,
          " · ",
          text.gpio(actuator.gpio)
        ] })
      ] }),
      /* @__PURE__ */ a4("span", { class: "row-side", children: [
        isOn && /* @__PURE__ */ a4(Lease, { actuator }),
        actuator.owner && /* @__PURE__ */ a4("span", { class: "faint wide-only long", dir: "auto", children: issuerName(actuator.owner) }),
        /* @__PURE__ */ a4(Level, { actuator })
      ] })
    ] });
  }

  // src/ui/dialog.tsx
  function Dialog({
    heading,
    close,
    children
  }) {
    const id = P2();
    const dialog = T2(null);
    A2(() => {
      const opened = dialog.current;
      opened?.showModal();
      return () => opened?.close();
    }, []);
    return /* @__PURE__ */ a4(
      "dialog",
      {
        ref: dialog,
        "aria-labelledby": id,
        onCancel: (event) => {
          event.preventDefault();
          close?.();
        },
        children: [
          /* @__PURE__ */ a4("h2", { id, dir: "auto", children: heading }),
          children
        ]
      }
    );
  }

  // src/pages/device.tsx
  function DevicePage({ deviceId }) {
    const text = words.value;
    const device = devices.value?.get(deviceId);
    if (devices.value === null) return /* @__PURE__ */ a4(Loading, {});
    if (!device)
      return /* @__PURE__ */ a4($, { children: [
        /* @__PURE__ */ a4(Title, { children: text.notFound }),
        /* @__PURE__ */ a4(Empty, { text: text.notFoundAdvice }),
        /* @__PURE__ */ a4("p", { children: /* @__PURE__ */ a4("a", { href: hrefTo("devices"), children: text.devices }) })
      ] });
    return /* @__PURE__ */ a4($, { children: [
      /* @__PURE__ */ a4("p", { class: "crumb", children: /* @__PURE__ */ a4("a", { href: hrefTo("devices"), children: text.devices }) }),
      /* @__PURE__ */ a4(Title, { side: /* @__PURE__ */ a4(DeviceState, { device }), children: deviceName(device) }),
      /* @__PURE__ */ a4(Decision, { device }),
      /* @__PURE__ */ a4("div", { class: "columns", children: [
        /* @__PURE__ */ a4(FactsCard, { device }),
        /* @__PURE__ */ a4(SensorsCard, { deviceId }),
        /* @__PURE__ */ a4(ActuatorsCard, { deviceId })
      ] })
    ] });
  }
  function Decision({ device }) {
    const text = words.value;
    const asked = useSignal(null);
    const reason = T2(null);
    if (!mayOperate.value) return null;
    const close = () => {
      asked.value = null;
    };
    const decide = async () => {
      const place = `/esp/devices/${encodeURIComponent(device.device_id)}/${asked.value}`;
      await ask(place, { method: "POST", body: { reason: reason.current?.value ?? "" } });
      await readDevice(device.device_id);
      close();
    };
    const isApproving = asked.value === "approve";
    return /* @__PURE__ */ a4($, { children: [
      /* @__PURE__ */ a4("div", { class: "buttons", children: [
        device.status !== "approved" && /* @__PURE__ */ a4("button", { type: "button", class: "primary", onClick: () => asked.value = "approve", children: text.approve }),
        device.status !== "rejected" && /* @__PURE__ */ a4("button", { type: "button", onClick: () => asked.value = "reject", children: text.reject })
      ] }),
      asked.value && /* @__PURE__ */ a4(Dialog, { heading: isApproving ? text.approveQuestion(deviceName(device)) : text.rejectQuestion(deviceName(device)), close, children: [
        /* @__PURE__ */ a4("p", { children: isApproving ? text.approveAdvice : text.rejectAdvice }),
        /* @__PURE__ */ a4(Field, { label: text.reasonOptional, children: (ids) => /* @__PURE__ */ a4("input", { ...ids, ref: reason, maxLength: 100 }) }),
        /* @__PURE__ */ a4("div", { class: "buttons", children: [
          /* @__PURE__ */ a4(ActionButton, { class: "primary", act: decide, children: isApproving ? text.approve : text.reject }),
          /* @__PURE__ */ a4("button", { type: "button", onClick: close, children: text.cancel })
        ] })
      ] })
    ] });
  }
  function FactsCard({ device }) {
    const text = words.value;
    const rows = [
      [text.address, `${device.device_id}${device.ip ? `, ${device.ip}` : ""}`],
      [text.zone, /* @__PURE__ */ a4("bdi", { children: device.zone_name || device.zone_id || text.noZone })],
      [text.board, /* @__PURE__ */ a4("bdi", { children: device.board })],
      [text.lastSeen, device.last_seen ? ago(device.last_seen) : text.never],
      [text.configuration, text.syncStates[device.config_sync] ?? device.config_sync]
    ];
    if (device.online && device.uptime_s !== null) rows.push([text.uptime, span(device.uptime_s)]);
    if (device.wifi_rssi) rows.push([text.wifi, text.wifiStrength(device.wifi_rssi)]);
    if (device.heap_free) rows.push([text.memory, `${number(device.heap_free / 1024)} KiB`]);
    if (device.registered_at) rows.push([text.firstSeen, moment(device.registered_at)]);
    if (device.decided_by) rows.push([text.decidedBy, /* @__PURE__ */ a4("bdi", { children: issuerName(device.decided_by) })]);
    return /* @__PURE__ */ a4(Card, { heading: text.facts, side: device.status === "approved" && device.online ? /* @__PURE__ */ a4("span", { class: "faint", children: text.healthOf(device.health) }) : void 0, children: [
      device.health_reasons.length > 0 && device.status === "approved" && /* @__PURE__ */ a4("ul", { class: "reasons", children: device.health_reasons.map((reason) => /* @__PURE__ */ a4("li", { children: /* @__PURE__ */ a4(Foreign, { text: reason }) }, reason)) }),
      device.config_error && /* @__PURE__ */ a4("p", { class: "problem", children: [
        text.configuration,
        ": ",
        /* @__PURE__ */ a4(Foreign, { text: device.config_error })
      ] }),
      device.placement_error && /* @__PURE__ */ a4("p", { class: "problem", children: [
        text.zone,
        ": ",
        /* @__PURE__ */ a4(Foreign, { text: device.placement_error })
      ] }),
      /* @__PURE__ */ a4(Facts, { rows })
    ] });
  }
  function SensorsCard({ deviceId }) {
    const text = words.value;
    const mine = [...sensors.value?.values() ?? []].filter((sensor) => sensor.peek().esp_id === deviceId).sort((a5, b3) => a5.peek().gpio - b3.peek().gpio || compare(a5.peek().sensor_type, b3.peek().sensor_type));
    return /* @__PURE__ */ a4(Card, { heading: text.sensors, children: sensors.value === null ? /* @__PURE__ */ a4(Loading, {}) : mine.length === 0 ? /* @__PURE__ */ a4(Empty, { text: text.noSensors }) : /* @__PURE__ */ a4("ul", { class: "plain-rows", children: mine.map((sensor) => /* @__PURE__ */ a4(SensorRow, { sensor }, sensorKey(sensor.peek()))) }) });
  }
  var DOUBTFUL = /* @__PURE__ */ new Set(["suspect", "poor", "bad", "error", "stale"]);
  function SensorRow({ sensor: shown }) {
    const text = words.value;
    const sensor = shown.value;
    const latest = sensor.latest;
    return /* @__PURE__ */ a4("li", { class: "value-row", children: [
      /* @__PURE__ */ a4("span", { class: "row-name", children: [
        /* @__PURE__ */ a4("bdi", { class: "long strong", children: sensorName(sensor) }),
        /* @__PURE__ */ a4("span", { class: "faint", children: [
          sensorType(sensor.sensor_type),
          " · ",
          text.gpio(sensor.gpio)
        ] })
      ] }),
      /* @__PURE__ */ a4("span", { class: "value-side", children: latest && latest.value !== null ? /* @__PURE__ */ a4($, { children: [
        /* @__PURE__ */ a4("span", { class: "big", children: quantity(latest.value, latest.unit) }),
        /* @__PURE__ */ a4("span", { class: DOUBTFUL.has(latest.quality) ? "doubt" : "faint", children: [
          text.qualities[latest.quality] ?? latest.quality,
          ", ",
          ago(latest.timestamp)
        ] })
      ] }) : /* @__PURE__ */ a4("span", { class: "faint", children: text.noReading }) })
    ] });
  }
  function ActuatorsCard({ deviceId }) {
    const text = words.value;
    const mine = [...actuators.value?.values() ?? []].filter((one3) => one3.esp_id === deviceId).sort((a5, b3) => a5.gpio - b3.gpio);
    return /* @__PURE__ */ a4(Card, { heading: text.actuators, children: mine.length === 0 ? /* @__PURE__ */ a4(Empty, { text: text.noActuators, advice: text.noActuatorsAdvice }) : /* @__PURE__ */ a4("ul", { class: "rows", "aria-label": text.actuators, children: mine.map((one3) => /* @__PURE__ */ a4("li", { children: /* @__PURE__ */ a4(ActuatorRow, { actuator: one3 }) }, one3.gpio)) }) });
  }

  // src/pages/devices.tsx
  var belongs = {
    all: () => true,
    pending: (device) => device.status === "pending_approval",
    offline: (device) => device.status === "approved" && !device.online
  };
  var ORDER = ["pending_approval", "approved", "rejected"];
  function DevicesPage() {
    const text = words.value;
    const search = useSignal("");
    const shown = useSignal("all");
    const all = devices.value;
    if (all === null)
      return /* @__PURE__ */ a4($, { children: [
        /* @__PURE__ */ a4(Title, { children: text.devices }),
        /* @__PURE__ */ a4(Loading, {})
      ] });
    const wanted = search.value.trim().toLowerCase();
    const rows = [...all.values()].filter(belongs[shown.value]).filter((device) => !wanted || `${device.device_id} ${device.name} ${device.zone_id} ${device.zone_name}`.toLowerCase().includes(wanted)).sort((a5, b3) => ORDER.indexOf(a5.status) - ORDER.indexOf(b3.status) || compare(a5.device_id, b3.device_id));
    return /* @__PURE__ */ a4($, { children: [
      /* @__PURE__ */ a4(Title, { side: /* @__PURE__ */ a4("span", { class: "faint", children: text.count(rows.length, all.size) }), children: text.devices }),
      /* @__PURE__ */ a4("div", { class: "tools", children: [
        /* @__PURE__ */ a4(Field, { label: text.searchDevices, children: (ids) => /* @__PURE__ */ a4("input", { ...ids, type: "search", value: search.value, onInput: (event) => search.value = event.currentTarget.value }) }),
        /* @__PURE__ */ a4(
          Choice,
          {
            label: text.filter,
            value: shown.value,
            options: [
              ["all", text.all],
              ["pending", text.pending],
              ["offline", text.offlineFilter]
            ],
            choose: (value) => {
              shown.value = value;
            }
          }
        )
      ] }),
      all.size === 0 ? /* @__PURE__ */ a4(Empty, { text: text.emptySite, advice: text.emptySiteAdvice }) : rows.length === 0 ? /* @__PURE__ */ a4(Empty, { text: text.nothingFound, advice: text.nothingFoundAdvice }) : /* @__PURE__ */ a4(Rows, { label: text.devices, rows, keyOf: (device) => device.device_id, draw: (device) => /* @__PURE__ */ a4(DeviceRow, { device }) })
    ] });
  }
  function DeviceRow({ device }) {
    const text = words.value;
    return /* @__PURE__ */ a4("a", { class: "row", href: hrefTo("devices", device.device_id), children: [
      /* @__PURE__ */ a4("span", { class: "row-name", children: [
        /* @__PURE__ */ a4("bdi", { class: "long strong", children: deviceName(device) }),
        /* @__PURE__ */ a4("bdi", { class: "long faint", children: [
          device.device_id,
          (device.zone_name || device.zone_id) && ` · ${device.zone_name || device.zone_id}`
        ] })
      ] }),
      /* @__PURE__ */ a4("span", { class: "row-side", children: [
        device.status === "approved" && device.online && /* @__PURE__ */ a4("span", { class: "faint wide-only", children: text.healthOf(device.health) }),
        /* @__PURE__ */ a4(DeviceState, { device })
      ] })
    ] });
  }

  // src/pages/settings.tsx
  var LANGUAGES = [
    ["de", "Deutsch"],
    ["en", "English"]
  ];
  var DEGREES = [
    ["C", "°C"],
    ["F", "°F"]
  ];
  function LanguageChoice() {
    return /* @__PURE__ */ a4(
      Choice,
      {
        label: words.value.languageChoice,
        value: language.value,
        options: LANGUAGES,
        choose: (value) => {
          language.value = value;
        }
      }
    );
  }
  function SettingsPage() {
    const text = words.value;
    const names = Object.entries(text.coloursNames);
    const who = person.value;
    return /* @__PURE__ */ a4($, { children: [
      /* @__PURE__ */ a4(Title, { children: text.settings }),
      /* @__PURE__ */ a4("div", { class: "columns", children: [
        /* @__PURE__ */ a4(Card, { heading: text.display, children: [
          /* @__PURE__ */ a4(LanguageChoice, {}),
          /* @__PURE__ */ a4(
            Choice,
            {
              label: text.coloursChoice,
              value: colours.value,
              options: names,
              choose: (value) => {
                colours.value = value;
              }
            }
          ),
          /* @__PURE__ */ a4(
            Choice,
            {
              label: text.degreesChoice,
              value: degrees.value,
              options: DEGREES,
              choose: (value) => {
                degrees.value = value;
              }
            }
          )
        ] }),
        /* @__PURE__ */ a4(Card, { heading: text.account, children: [
          who && /* @__PURE__ */ a4("p", { dir: "auto", children: text.loggedInAs(who.username, text.roles[who.role] ?? who.role) }),
          who?.role === "viewer" && /* @__PURE__ */ a4("p", { class: "faint", children: text.noStopForViewers }),
          /* @__PURE__ */ a4(ActionButton, { act: logOut, children: text.logOut }),
          gateway.value && /* @__PURE__ */ a4("p", { class: "faint", children: text.gatewayVersion(gateway.value.version, gateway.value.kaiser_id) }),
          /* @__PURE__ */ a4("p", { children: /* @__PURE__ */ a4("a", { href: "/api/v1/docs", children: text.apiPages }) })
        ] })
      ] })
    ] });
  }

  // src/pages/log-in.tsx
  function LogInPage() {
    return /* @__PURE__ */ a4(Outside, { heading: words.value.logIn, children: [
      /* @__PURE__ */ a4(LogInForm, { username: "" }),
      /* @__PURE__ */ a4("p", { class: "faint", children: words.value.forgotPassword })
    ] });
  }
  function SetUpPage() {
    const text = words.value;
    return /* @__PURE__ */ a4(Outside, { heading: text.welcome, children: [
      /* @__PURE__ */ a4("p", { children: text.setUpIntro }),
      /* @__PURE__ */ a4(SetUpForm, { needsToken: gateway.value?.setup === "token" })
    ] });
  }
  function Outside({ heading, children }) {
    const text = words.value;
    return /* @__PURE__ */ a4("div", { class: "outside", children: /* @__PURE__ */ a4("main", { class: "card narrow", children: [
      /* @__PURE__ */ a4("p", { class: "brand", children: text.product }),
      /* @__PURE__ */ a4(Title, { children: heading }),
      children,
      /* @__PURE__ */ a4("p", { class: "faint", children: text.stopNeedsLogIn }),
      /* @__PURE__ */ a4(LanguageChoice, {})
    ] }) });
  }
  function LogInForm({ username, done }) {
    const text = words.value;
    const failed = useSignal(null);
    const busy = useSignal(false);
    const name = T2(null);
    const secret = T2(null);
    A2(() => {
      if (username) secret.current?.focus();
      else name.current?.focus();
    }, []);
    const send = async (event) => {
      event.preventDefault();
      if (busy.value) return;
      busy.value = true;
      failed.value = null;
      try {
        await logIn(name.current?.value ?? "", secret.current?.value ?? "");
        done?.();
      } catch (error) {
        failed.value = saidOf(error);
        secret.current?.select();
      } finally {
        busy.value = false;
      }
    };
    return /* @__PURE__ */ a4("form", { onSubmit: (event) => void send(event), children: [
      /* @__PURE__ */ a4(Field, { label: text.username, children: (ids) => /* @__PURE__ */ a4("input", { ...ids, ref: name, name: "username", defaultValue: username, autocomplete: "username", autocapitalize: "none", spellcheck: false, maxLength: 128, required: true }) }),
      /* @__PURE__ */ a4(Field, { label: text.password, children: (ids) => /* @__PURE__ */ a4("input", { ...ids, ref: secret, name: "password", type: "password", autocomplete: "current-password", maxLength: 4096, required: true }) }),
      /* @__PURE__ */ a4(Problem, { said: failed.value }),
      /* @__PURE__ */ a4("button", { class: "primary wide", "aria-busy": busy.value, children: busy.value ? text.loggingIn : text.logIn })
    ] });
  }
  function SetUpForm({ needsToken }) {
    const text = words.value;
    const failed = useSignal(null);
    const busy = useSignal(false);
    const form = T2(null);
    const send = async (event) => {
      event.preventDefault();
      if (busy.value || !form.current) return;
      const given = new FormData(form.current);
      const [name, secret, again, token2] = ["username", "password", "again", "token"].map((field) => String(given.get(field) ?? ""));
      if (secret !== again) {
        failed.value = { text: text.passwordsDiffer };
        return;
      }
      busy.value = true;
      failed.value = null;
      try {
        await setUp(name ?? "", secret ?? "", (token2 ?? "").trim());
      } catch (error) {
        failed.value = saidOf(error);
      } finally {
        busy.value = false;
      }
    };
    return /* @__PURE__ */ a4("form", { ref: form, onSubmit: (event) => void send(event), children: [
      needsToken && /* @__PURE__ */ a4(Field, { label: text.setUpToken, advice: text.setUpTokenAdvice, children: (ids) => /* @__PURE__ */ a4("input", { ...ids, name: "token", autocomplete: "off", spellcheck: false, maxLength: 100, required: true }) }),
      /* @__PURE__ */ a4(Field, { label: text.username, children: (ids) => /* @__PURE__ */ a4("input", { ...ids, name: "username", autocomplete: "username", autocapitalize: "none", spellcheck: false, maxLength: 128, required: true }) }),
      /* @__PURE__ */ a4(Field, { label: text.password, advice: text.passwordAdvice, children: (ids) => /* @__PURE__ */ a4("input", { ...ids, name: "password", type: "password", autocomplete: "new-password", minLength: 8, maxLength: 72, required: true }) }),
      /* @__PURE__ */ a4(Field, { label: text.repeatPassword, children: (ids) => /* @__PURE__ */ a4("input", { ...ids, name: "again", type: "password", autocomplete: "new-password", required: true }) }),
      /* @__PURE__ */ a4(Problem, { said: failed.value }),
      /* @__PURE__ */ a4("button", { class: "primary wide", "aria-busy": busy.value, children: text.createAdministrator })
    ] });
  }

  // src/ui/stop-frame.tsx
  function StopFrame() {
    const frame = T2(null);
    const token2 = stopToken.value;
    const chosen = { language: language.value, isDark: isDark.value };
    A2(() => {
      const tell = () => frame.current?.contentWindow?.postMessage({ kind: "know", token: token2, ...chosen }, "*");
      const hear2 = (event) => {
        if (event.source === frame.current?.contentWindow && event.data?.kind === "ready") tell();
      };
      addEventListener("message", hear2);
      tell();
      return () => removeEventListener("message", hear2);
    }, [token2, chosen.language, chosen.isDark]);
    const heard = safety.value;
    A2(() => {
      frame.current?.contentWindow?.postMessage({ kind: "look" }, "*");
    }, [heard]);
    if (token2 === null) return null;
    return /* @__PURE__ */ a4("iframe", { class: "stop-frame", id: "stop-frame", ref: frame, src: "/stop", sandbox: "allow-scripts", title: words.value.stopFrame });
  }

  // src/app.tsx
  var SLOW_MS = 4e3;
  var START_AGAIN_MS = 2e3;
  function App() {
    A2(() => {
      let timer;
      const begin = () => void start().then(follow, (error) => {
        timer = setTimeout(begin, START_AGAIN_MS);
        if (!(error instanceof Unreachable)) throw error;
      });
      begin();
      return () => clearTimeout(timer);
    }, []);
    switch (phase.value) {
      case "starting":
        return /* @__PURE__ */ a4("main", { class: "plain", children: [
          /* @__PURE__ */ a4(Away, {}),
          /* @__PURE__ */ a4(Loading, {})
        ] });
      case "setup":
        return /* @__PURE__ */ a4(SetUpPage, {});
      case "out":
        return /* @__PURE__ */ a4(LogInPage, {});
      default:
        return /* @__PURE__ */ a4(Shell, {});
    }
  }
  function Shell() {
    const text = words.value;
    const hasStop = stopToken.value !== null;
    return /* @__PURE__ */ a4("div", { class: hasStop ? "shell with-stop" : "shell", children: [
      /* @__PURE__ */ a4("a", { class: "skip", href: "#content", onClick: (event) => jump(event, "content"), children: text.skipToContent }),
      hasStop && /* @__PURE__ */ a4("a", { class: "skip", href: "#stop-frame", onClick: (event) => jump(event, "stop-frame"), children: text.skipToStop }),
      /* @__PURE__ */ a4("header", { class: "top", children: [
        /* @__PURE__ */ a4("a", { class: "brand", href: hrefTo(), children: text.product }),
        /* @__PURE__ */ a4(Navigation, {}),
        /* @__PURE__ */ a4(ConnectionMark, {})
      ] }),
      /* @__PURE__ */ a4(Banners, {}),
      /* @__PURE__ */ a4("main", { id: "content", tabIndex: -1, children: /* @__PURE__ */ a4(Routed, {}, path.value.join("/")) }),
      hasStop && /* @__PURE__ */ a4("aside", { class: "stop-place", "aria-label": text.stopFrame, children: /* @__PURE__ */ a4(StopFrame, {}) }),
      phase.value === "expired" && /* @__PURE__ */ a4(Dialog, { heading: text.logInAgain, children: [
        /* @__PURE__ */ a4("p", { class: "faint", children: text.logInAgainAdvice }),
        /* @__PURE__ */ a4(LogInForm, { username: person.value?.username ?? "", done: hurry })
      ] })
    ] });
  }
  function jump(event, id) {
    event.preventDefault();
    document.getElementById(id)?.focus();
  }
  function Navigation() {
    const text = words.value;
    const here = path.value[0] ?? "";
    const entries = [
      ["", text.overview],
      ["devices", text.devices],
      ["actuators", text.actuators],
      ["settings", text.settings]
    ];
    return /* @__PURE__ */ a4("nav", { "aria-label": text.navigation, children: entries.map(([place, name]) => /* @__PURE__ */ a4("a", { href: place ? hrefTo(place) : hrefTo(), "aria-current": place === here ? "page" : void 0, children: name }, place)) });
  }
  function ConnectionMark() {
    const text = words.value;
    const isLive = connection.value === "live";
    return /* @__PURE__ */ a4("span", { class: isLive ? "mark live" : "mark", title: isLive ? text.liveAdvice : text.askingAdvice, children: isLive ? text.live : text.asking });
  }
  function Banners() {
    const text = words.value;
    const stopped = safety.value !== null && safety.value.state !== "normal" && safety.value.state !== "unknown";
    return /* @__PURE__ */ a4("div", { class: "banners", children: [
      /* @__PURE__ */ a4(Away, {}),
      isOld.value && /* @__PURE__ */ a4("p", { class: "banner calm", role: "status", children: [
        text.newVersion,
        " ",
        /* @__PURE__ */ a4("button", { type: "button", onClick: () => location.reload(), children: text.reload })
      ] }),
      stopped && /* @__PURE__ */ a4("p", { class: "banner bad", role: "alert", children: /* @__PURE__ */ a4("a", { href: hrefTo(), children: [
        text.stopFrame,
        ": ",
        text.stopStates[safety.value?.state ?? ""] ?? safety.value?.state
      ] }) }),
      health.value && !health.value.broker.connected && /* @__PURE__ */ a4("p", { class: "banner bad", role: "alert", children: /* @__PURE__ */ a4("a", { href: hrefTo(), children: text.brokerAway }) })
    ] });
  }
  function Away() {
    const since = awaySince.value;
    if (since === null || now.value * 1e3 - since < SLOW_MS) return null;
    return /* @__PURE__ */ a4("p", { class: "banner warn", role: "alert", children: words.value.away(span(now.value - since / 1e3)) });
  }
  function Routed() {
    const [place, first, second] = path.value;
    switch (place) {
      case void 0:
        return /* @__PURE__ */ a4(OverviewPage, {});
      case "devices":
        return first === void 0 ? /* @__PURE__ */ a4(DevicesPage, {}) : /* @__PURE__ */ a4(DevicePage, { deviceId: first });
      case "actuators":
        return first === void 0 ? /* @__PURE__ */ a4(ActuatorsPage, {}) : /* @__PURE__ */ a4(ActuatorPage, { espId: first, gpio: Number(second) });
      case "settings":
        return /* @__PURE__ */ a4(SettingsPage, {});
      default:
        return /* @__PURE__ */ a4($, { children: [
          /* @__PURE__ */ a4(Title, { children: words.value.notFound }),
          /* @__PURE__ */ a4(Empty, { text: words.value.notFoundAdvice }),
          /* @__PURE__ */ a4("p", { children: /* @__PURE__ */ a4("a", { href: hrefTo(), children: words.value.toOverview }) })
        ] });
    }
  }

  // src/main.tsx
  var root = document.getElementById("app");
  if (root) Q(/* @__PURE__ */ a4(App, {}), root);
})();
