"""Writes SentencePiece's compiled replacement rules (precompiled_charsmap)."""
import struct


def compiled_rules(rules):
    """Of {key bytes: replacement}: a double array in the layout of Darts-clone, by first fit, then the replacements."""
    trie, units, used, bases, blob = {}, {0: 0}, {0}, set(), b""
    for key, text in rules.items():
        node = trie
        for byte in key:
            node = node.setdefault(byte, {})
        node[None] = len(blob)
        blob += text.encode() + b"\0"
    stack = [(0, trie)]
    while stack:
        position, node = stack.pop()
        labels = [label or 0 for label in node]
        offset = next(o for o in range(1, 1 << 20)
                      if position ^ o not in bases and all(position ^ o ^ label not in used for label in labels))
        bases.add(position ^ offset)
        units[position] |= offset << 10 | (256 if None in node else 0)
        for label, child in node.items():
            place = position ^ offset ^ (label or 0)
            used.add(place)
            units[place] = child | 1 << 31 if label is None else label
            if label is not None:
                stack.append((place, child))
    size = (max(used) | 255) + 1
    return struct.pack("<I", 4 * size) + struct.pack(f"<{size}I", *(units.get(i, 0) for i in range(size))) + blob
