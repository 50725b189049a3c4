// The methods' prefill in naive double precision, step by step as the papers (and the numbered decisions) have them.

import Foundation

public enum Reference {
    public static func run(_ method: String, _ cache: ReferenceCache, _ p: [String: Double]) -> ReferenceResult {
        switch method {
        case "ahakv": return ahakv(cache, p)
        case "taskkv": return taskkv(cache, p)
        case "windowkv": return windowkv(cache, p)
        case "h2o": return h2o(cache, p)
        default: return dynamickv(cache, p)
        }
    }

    /// Adds a layer that keeps everything.
    private static func keepAll(_ cache: ReferenceCache, _ result: inout ReferenceResult) {
        result.positions.append(Array(repeating: Array(0..<cache.tokens), count: cache.heads))
        result.scores.append([])
    }

    public static func ahakv(_ cache: ReferenceCache, _ p: [String: Double]) -> ReferenceResult {
        let (budget, recent, kernel) = (Int(p["budget"]!), Int(p["window"]!), Int(p["pool_kernel"]!))
        let (floor, sinks) = (p["gain_floor"]!, Int(p["sinks"]!))
        let tokens = cache.tokens
        var result = ReferenceResult()
        for layer in 0..<cache.layers {
            if tokens <= max(budget, recent) { keepAll(cache, &result); continue }
            // A1: i counts tokens seen, the row's own included; A11: the whole budget.
            let gains = (0..<recent).map { row -> Double in
                let seen = Double(tokens - recent + row + 1)
                return max(seen > Double(budget) ? sqrt(2 * log(seen / Double(budget))) : 0, floor)
            }
            var rows: [[Double]] = []
            var kept: [[Int]] = []
            for head in 0..<cache.heads {
                let sums = cache.groupSums(layer, head: head, gains: gains)
                let norms = (0..<tokens).map { cache.value(layer, head, $0).reduce(0) { $0 + $1 * $1 } }
                let gamma = pooled(norms, kernel: kernel, max: false)
                let candidates = Array(sinks..<tokens - recent)
                let most = candidates.map { gamma[$0] }.max() ?? 0
                let scores = candidates.map { most > 0 ? gamma[$0] / most * sums[$0] : 0 }
                rows.append(scores)
                kept.append(
                    Array(0..<sinks) + best(scores, budget - recent - sinks).map { candidates[$0] }
                        + Array(tokens - recent..<tokens))
            }
            result.scores.append(rows)
            result.positions.append(kept)
        }
        return result
    }

    /// The cache has the queries of all tokens.
    public static func h2o(_ cache: ReferenceCache, _ p: [String: Double]) -> ReferenceResult {
        let budget = Int(p["budget"]!)
        let recent = max(1, Int((Double(budget) * p["recent_ratio"]!).rounded(.down)))
        var result = ReferenceResult()
        for layer in 0..<cache.layers {
            if cache.tokens <= budget { keepAll(cache, &result); continue }
            let first = cache.tokens - recent
            let rows = (0..<cache.heads).map { head in
                Array(cache.groupSums(layer, head: head, gains: Array(repeating: 1, count: cache.tokens))[..<first])
            }
            result.scores.append(rows)
            result.positions.append(rows.map { best($0, budget - recent) + Array(first..<cache.tokens) })
        }
        return result
    }

    public static func taskkv(_ cache: ReferenceCache, _ p: [String: Double]) -> ReferenceResult {
        let (ratio, window, kernel) = (p["ratio"]!, Int(p["window"]!), Int(p["pool_kernel"]!))
        let (beta, top, first, last) = (p["beta"]!, p["top"]!, Int(p["sinks"]!), Int(p["recent"]!))
        let (tokens, heads) = (cache.tokens, cache.heads)
        let protected = first + last
        let slots = Int((ratio * Double(heads * tokens)).rounded(.down))
        var result = ReferenceResult()
        for layer in 0..<cache.layers {
            if tokens <= max(protected, window) { keepAll(cache, &result); continue }
            let means = (0..<heads).map { cache.groupSums(layer, head: $0).map { $0 / Double(window) } }
            let vectors = (0..<heads).map { head -> [Double] in
                var vector = Array(repeating: 0.0, count: cache.dim)
                for token in best(means[head], Int(p["tokens"]!)) {
                    let value = cache.value(layer, head, token)
                    for d in 0..<cache.dim { vector[d] += means[head][token] * value[d] }
                }
                return vector
            }
            let centre = (0..<cache.dim).map { d in vectors.reduce(0) { $0 + $1[d] } / Double(heads) }
            let distance = vectors.map { sqrt(zip($0, centre).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }) }
            // f(l), T3; then T4.
            let (bottom, end) = (Double(heads) * beta, Double(cache.layers - 1))
            let linear = cache.layers == 1 ? bottom : (bottom * (end - Double(layer)) + top * Double(layer)) / end
            var full = min(max(Int(linear.rounded(.down)), 0), heads)
            func middle(_ full: Int) -> Int {
                if full == heads { return slots >= tokens * heads ? 0 : -1 }
                let rest = Double(slots - tokens * full) / Double(heads - full)
                return Int(rest.rounded(.down)) - protected
            }
            if middle(full) < 0 {
                full = min(full, Int((Double(slots - heads * protected) / Double(tokens - protected)).rounded(.down)))
            }
            // T2, T8: the farthest (lower first), and the nearest (lower first) of the others.
            let far = (0..<heads).sorted { distance[$0] != distance[$1] ? distance[$0] > distance[$1] : $0 < $1 }
            var whole = Set(far.prefix(full <= 1 || full == heads ? full : full - 1))
            if full > 1 && full < heads {
                let others = (0..<heads).filter { !whole.contains($0) }
                whole.insert(others.min { distance[$0] != distance[$1] ? distance[$0] < distance[$1] : $0 < $1 }!)
            }
            let rows = means.map { pooled(Array($0[first..<tokens - last]), kernel: kernel, max: false) }
            result.scores.append(rows)
            result.positions.append(
                (0..<heads).map { head in
                    if whole.contains(head) { return Array(0..<tokens) }
                    return Array(0..<first) + best(rows[head], middle(full)).map { $0 + first }
                        + Array(tokens - last..<tokens)
                })
        }
        return result
    }

    public static func windowkv(_ cache: ReferenceCache, _ p: [String: Double]) -> ReferenceResult {
        let (window, size, shared) = (Int(p["window"]!), Int(p["size"]!), Int(p["shared"]!))
        let budget = Int(p["budget"]!) - (p["charge"]! == 1 ? window : 0)
        let groups = (cache.layers + shared - 1) / shared
        var budgets = [budget]
        if groups > 1 {
            let top = Int((Double(budget * shared) / p["pyramid"]!).rounded(.down))
            let bottom = 2 * budget - top
            let step = Int((Double(bottom - top) / Double(groups - 1)).rounded(.down))
            budgets = (0..<groups).map { $0 == groups - 1 ? top : bottom - $0 * step }
        }
        let review = cache.tokens - window
        var result = ReferenceResult()
        for layer in 0..<cache.layers {
            let kept = budgets[layer / shared]
            if cache.tokens <= window || review <= kept { keepAll(cache, &result); continue }
            let leader = layer / shared * shared
            if leader < layer {
                result.scores.append(result.scores[leader])
                result.positions.append(result.positions[leader])
                continue
            }
            let columns = (0..<cache.queryHeads).map { cache.columnSums(layer, queryHead: $0) }
            let windows = stride(from: 0, to: review, by: size).map { Array($0..<min($0 + size, review)) }
            let scores = windows.map { window -> Double in
                let statistics = columns.map { column -> Double in
                    let values = window.map { column[$0] }
                    if p["task"]! == 0 { return values.reduce(0, +) / Double(values.count) }  // W1
                    let largest = values.sorted(by: >).prefix(max(1, size / 2))
                    return largest.reduce(0, +) / Double(largest.count)
                }
                return statistics.reduce(0, +) / Double(cache.queryHeads)
            }
            let drop = Int((Double(review - kept) / Double(size)).rounded(.up))
            let positions = best(scores, windows.count - drop).flatMap { windows[$0] } + Array(review..<cache.tokens)
            result.scores.append([scores])
            result.positions.append(Array(repeating: positions, count: cache.heads))
        }
        return result
    }

    public static func dynamickv(_ cache: ReferenceCache, _ p: [String: Double]) -> ReferenceResult {
        let (budget, window, kernel) = (Int(p["budget"]!), Int(p["window"]!), Int(p["pool_kernel"]!))
        let (layers, heads, tokens) = (cache.layers, cache.heads, cache.tokens)
        let base = budget - window
        let candidates = tokens - window
        let first = min(Int((p["cap"]! * Double(base)).rounded(.down)), candidates)
        var result = ReferenceResult()
        if tokens <= budget || tokens <= window {  // D2
            for _ in 0..<layers { keepAll(cache, &result) }
            return result
        }
        var held: [Int] = []
        for layer in 0..<layers {
            result.scores.append(
                (0..<heads).map { head in
                    pooled(
                        Array(cache.groupSums(layer, head: head).prefix(candidates)), kernel: kernel,
                        max: p["pool"]! == 1)
                })
            held.append(first)
            let seen = layer + 1
            guard seen % Int(p["every"]!) == 0 || seen == layers else { continue }  // D7
            // One ranking of everything seen: (score, layer, head, position).
            var all: [(Double, Int)] = []
            for (index, rows) in result.scores.enumerated() { for row in rows { all += row.map { ($0, index) } } }
            let order = all.indices.sorted { all[$0].0 != all[$1].0 ? all[$0].0 > all[$1].0 : $0 < $1 }
            var won = Array(repeating: 0, count: seen)
            for entry in order.prefix(base * heads * seen) { won[all[entry].1] += 1 }
            var share = won.map { $0 / seen }
            if seen == layers { share[layer] += base * heads * seen / layers - share.reduce(0, +) }
            let total = base * layers
            let sum = share.reduce(0, +)
            let scaled = share.map { sum == 0 ? 0 : Int(Float(first) * (Float($0) / Float(sum))) }  // D3: float32
            var units: [Int]
            if scaled.reduce(0, +) == 0 {
                units = Array(repeating: total / seen, count: seen)
            } else {
                let divisor = Double(scaled.reduce(0, +)) / Double(total)
                units = scaled.map { value in
                    // Python's // on floats.
                    let quotient = (Double(value) - fmod(Double(value), divisor)) / divisor
                    let floored = quotient.rounded(.down)
                    return Int(quotient - floored > 0.5 ? floored + 1 : floored)
                }
            }
            units[layer] += total - units.reduce(0, +)
            for index in 0..<seen { held[index] = min(held[index], max(0, units[index])) }  // D1
        }
        result.positions = (0..<layers).map { layer in
            (0..<heads).map { best(result.scores[layer][$0], held[layer]) + Array(candidates..<tokens) }
        }
        return result
    }
}
