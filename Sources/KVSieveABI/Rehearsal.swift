// What a process does for the first time, done once by the first kvsieve_plan_create of each method: small sequences of each kind, and
// calls that fail.
//
// Swift makes the description of a type when it is first used, under a lock of the process. If another thread forks meanwhile, nobody
// opens that lock in the child. The rehearsal is made under a lock that forks wait for (CSupport/call.c); afterwards no call takes
// one. Tests/ABI/watch_locks.c watches the locks.
import CKVSieve
import CSupport
import KVSieveCore
import KVSieveMethods
import KVSieveSelfCheck

/// False if there was no memory to begin: the next create tries again.
func rehearse(_ method: Int32) -> Bool {
    guard let index = Registry.rows.firstIndex(where: { $0.id == method }) else { return true }
    return support_rehearse(needOfGlobals, Int32(index)) { Rehearsal.run(Registry.rows[Int($0)]) } == 1
}

/// The same for kvsieve_self_check(), whose plans are not made by kvsieve_plan_create(). False if there was no memory to begin.
func rehearseSelfCheck() -> Bool {
    support_rehearse(needOfGlobals, Int32(SUPPORT_MOST_REHEARSALS) - 1) { _ in _ = try? SelfCheck.run() } == 1
}

private struct Rehearsal {
    static let heads = 2, queryHeads = 4, layers = 2, dim = 32, tokens = 40, most = 128
    static let window = 8, budget = 16, new = 4

    let row: MethodRow
    let variant: Variant
    let memory: UnsafeMutableRawPointer
    let out: UnsafeMutableRawPointer

    /// What differs from one sequence to the next.
    struct Variant {
        var settings: [(Parameter, Double)] = []
        var type = ElementType.float32
        var paged = false
        var chunks = false
        var protects = false
        var attention: Int32?
        var joins = false
    }

    static func run(_ row: MethodRow) {
        let bytes = queryHeads * most * dim * 4
        // Not of the heap, which would keep a hole.
        guard let memory = support_reserve_addresses(2 * bytes) else { return }
        defer { support_release_addresses(memory, 2 * bytes) }
        let out = memory + bytes
        // In every type a small number.
        memory.initializeMemory(as: UInt8.self, repeating: 0x3d, count: bytes)
        for variant in variants { Rehearsal(row: row, variant: variant, memory: memory, out: out).sequence() }
        Rehearsal(row: row, variant: Variant(), memory: memory, out: out).failures()
        support_set_last_error("", 0)
    }

    private static var variants: [Variant] {
        let two = (Shared.threads, 2.0)
        return [
            Variant(settings: [two, (Shared.report, 1)]),
            Variant(
                settings: [two, (Shared.mass, 0.5), (Shared.report, 1)], type: .bfloat16, chunks: true, protects: true),
            Variant(
                settings: [(Shared.share, 2), (Shared.block, 4), (Shared.align, 1), (Shared.report, 1)], paged: true),
            Variant(settings: [(Shared.coarse, 1), (Shared.share, 1)], type: .q8),
            Variant(settings: [two, (Shared.decoding, 1)], protects: true),
            Variant(settings: [(Shared.decoding, 1)], attention: 0),
            Variant(settings: [two], attention: 1),
            Variant(attention: 2),
            Variant(settings: [(Shared.report, 1)], joins: true),
            Variant(settings: [(Shared.share, 2)], joins: true),
        ]
    }

    // MARK: - A sequence

    private func sequence() {
        var model = kvsieve_model()
        (model.layers, model.query_heads) = (Int32(Self.layers), Int32(Self.queryHeads))
        (model.kv_heads, model.head_dim) = (Int32(Self.heads), Int32(Self.dim))
        var plan: UnsafeMutablePointer<kvsieve_plan>?
        guard kvsieve_plan_create(row.id, &model, &plan) == KVSIEVE_OK else { return }
        defer { kvsieve_plan_destroy(plan) }
        settle(plan)
        if variant.joins { join(plan) }
        if variant.protects { _ = kvsieve_plan_protect(plan, 3, 2) }
        var (number, rows) = (Int32(0), Int64(0))
        _ = kvsieve_plan_needs(plan, 1, &number)
        _ = kvsieve_plan_bound(plan, 1, Int64(Self.tokens), &rows)
        for layer in 0..<Self.layers {
            observe(plan, layer, tokens: Self.tokens, queries: Self.tokens)
            results(plan, layer)
        }
        _ = kvsieve_plan_finish(plan)
        decode(plan)
        let lengths = (0..<Self.layers).map { results(plan, $0) }
        if kvsieve_plan_extend(plan, Int64(Self.new)) == KVSIEVE_OK {
            for layer in 0..<Self.layers {
                observe(plan, layer, tokens: lengths[layer] + Self.new, queries: Self.new)
                results(plan, layer)
            }
            _ = kvsieve_plan_finish(plan)
            results(plan, 0)
        }
        _ = kvsieve_plan_reset(plan)
    }

    private func settle(_ plan: UnsafeMutablePointer<kvsieve_plan>?) {
        let sizes = [
            "window": 8, "sinks": 2, "recent": 4, "semantic": 2, "size": 4, "shared": 2, "every": 2, "ratio": 0.6,
        ]
        for parameter in row.parameters {
            if let size = sizes["\(parameter.name)"], parameter.id != Shared.ratio.id || parameter.initial > 0 {
                _ = kvsieve_plan_set(plan, parameter.id, size)
            }
            if parameter.id == Shared.budget.id, parameter.initial > 0 {
                _ = kvsieve_plan_set(plan, parameter.id, Double(Self.budget))
            }
            for (other, value) in variant.settings where other.id == parameter.id {
                _ = kvsieve_plan_set(plan, parameter.id, value)
            }
        }
    }

    private func join(_ plan: UnsafeMutablePointer<kvsieve_plan>?) {
        var group = kvsieve_group()
        group.struct_size = UInt32(MemoryLayout<kvsieve_group>.size)
        (group.ranks, group.layers, group.heads) = (1, Int32(Self.layers), Int32(Self.heads))
        group.all_gather = { _, send, bytes, receive in
            if let send, let receive { receive.copyMemory(from: send, byteCount: Int(bytes)) }
            return 0
        }
        _ = kvsieve_plan_join(plan, &group)
    }

    @discardableResult
    private func observe(
        _ plan: UnsafeMutablePointer<kvsieve_plan>?, _ layer: Int, tokens: Int, queries: Int
    ) -> kvsieve_status {
        with(heads: Self.queryHeads, tokens: min(queries, tokens), dim: Self.dim) { queries in
            with(heads: Self.heads, tokens: tokens, dim: Self.dim) { keys in
                guard let kind = variant.attention else {
                    if variant.chunks { _ = kvsieve_plan_queries(plan, Int32(layer), queries) }
                    return kvsieve_plan_observe(plan, Int32(layer), variant.chunks ? nil : queries, keys, keys)
                }
                return with(heads: Self.queryHeads, tokens: kind == 2 ? 1 : tokens, dim: tokens, type: .float32) {
                    kvsieve_plan_observe_attention(plan, Int32(layer), kind, $0, keys)
                }
            }
        }
    }

    /// The rows of the longest head.
    @discardableResult
    private func results(_ plan: UnsafeMutablePointer<kvsieve_plan>?, _ layer: Int) -> Int {
        let layer = Int32(layer)
        var kept = kvsieve_kept()
        kept.struct_size = UInt32(MemoryLayout<kvsieve_kept>.size)
        _ = kvsieve_plan_kept(plan, layer, &kept)
        var report = kvsieve_report()
        report.struct_size = UInt32(MemoryLayout<kvsieve_report>.size)
        _ = kvsieve_plan_report(plan, layer, &report)
        var ranges = kvsieve_ranges()
        ranges.struct_size = UInt32(MemoryLayout<kvsieve_ranges>.size)
        _ = kvsieve_plan_ranges(plan, layer, 1, 1, &ranges)
        var slots = kvsieve_slots()
        slots.struct_size = UInt32(MemoryLayout<kvsieve_slots>.size)
        _ = kvsieve_plan_slots(plan, layer, 1, &slots)
        _ = with(heads: Self.heads, tokens: Self.tokens, dim: Self.dim) { source in
            with(heads: Self.heads, tokens: Self.tokens, dim: Self.dim, at: out) { target in
                var rope = kvsieve_rope()
                rope.struct_size = UInt32(MemoryLayout<kvsieve_rope>.size)
                (rope.dims, rope.frequencies) = (
                    Int32(Self.dim), UnsafePointer(memory.assumingMemoryBound(to: Float.self))
                )
                _ = kvsieve_plan_gather_rotated(plan, layer, source, target, &rope)
                return kvsieve_plan_gather(plan, layer, source, target)
            }
        }
        return Int(kept.longest)
    }

    private func decode(_ plan: UnsafeMutablePointer<kvsieve_plan>?) {
        var slots = kvsieve_slots()
        slots.struct_size = UInt32(MemoryLayout<kvsieve_slots>.size)
        for round in 0..<2 {
            for layer in 0..<Int32(Self.layers) {
                guard kvsieve_plan_slots(plan, layer, 0, &slots) == KVSIEVE_OK else { return }
                let rows = Int(slots.length) + 1
                let slot = out.assumingMemoryBound(to: Int32.self)
                _ = with(heads: Self.queryHeads, tokens: 1, dim: round == 0 ? Self.dim : rows, type: .float32) {
                    first in
                    with(heads: Self.heads, tokens: rows, dim: Self.dim) { keys in
                        round == 0
                            ? kvsieve_plan_step(plan, layer, first, keys, keys, slot)
                            : kvsieve_plan_step_logits(plan, layer, first, keys, slot)
                    }
                }
            }
            _ = kvsieve_plan_trim(plan, 1)
        }
    }

    // MARK: - Tensors

    private func with(
        heads: Int, tokens: Int, dim: Int, type: ElementType? = nil, at start: UnsafeMutableRawPointer? = nil,
        _ body: (UnsafePointer<kvsieve_tensor>) -> kvsieve_status
    ) -> kvsieve_status {
        let type = type ?? variant.type
        let bytes = Int64(type.rowBytes(dim))
        var tensor = kvsieve_tensor()
        (tensor.data, tensor.dtype, tensor.dim) = (start ?? memory, type.rawValue, Int32(dim))
        (tensor.heads, tensor.tokens) = (Int64(heads), Int64(tokens))
        (tensor.token_stride, tensor.head_stride) = (bytes, Int64(Self.most) * bytes)
        guard variant.paged, dim == Self.dim else { return body(&tensor) }
        return withUnsafeTemporaryAllocation(of: Int32.self, capacity: Self.most) { table in
            for block in table.indices { table[block] = Int32(block) }
            (tensor.blocks, tensor.block_tokens) = (UnsafePointer(table.baseAddress), 4)
            (tensor.token_stride, tensor.head_stride) = (bytes, 4 * bytes)
            tensor.block_stride = 4 * bytes * Int64(heads)
            return body(&tensor)
        }
    }

    // MARK: - Calls that fail

    private func failures() {
        var info = kvsieve_method_info()
        info.struct_size = UInt32(MemoryLayout<kvsieve_method_info>.size)
        _ = kvsieve_method_at(-1, &info)
        _ = kvsieve_plan_create(-1, nil, nil)
        var model = kvsieve_model()
        var plan: UnsafeMutablePointer<kvsieve_plan>?
        _ = kvsieve_plan_create(row.id, &model, &plan)
        (model.layers, model.query_heads, model.kv_heads, model.head_dim, model.scale) = (1, 2, 1, 4, -1)
        _ = kvsieve_plan_create(row.id, &model, &plan)
        model.scale = 0
        guard kvsieve_plan_create(row.id, &model, &plan) == KVSIEVE_OK else { return }
        defer { kvsieve_plan_destroy(plan) }
        _ = kvsieve_plan_set(plan, -1, 0)
        _ = kvsieve_plan_set(plan, 9999, 0)
        for value in [0.5, -1, .nan] { _ = kvsieve_plan_set(plan, Shared.threads.id, value) }
        _ = kvsieve_plan_set(plan, Shared.poolKernel.id, 2)
        wrongTensors(plan)
        _ = kvsieve_plan_observe(plan, 1, nil, nil, nil)
        _ = kvsieve_plan_observe(plan, 0, nil, nil, nil)
        _ = kvsieve_plan_finish(plan)
        _ = kvsieve_plan_extend(plan, 1)
    }

    private func wrongTensors(_ plan: UnsafeMutablePointer<kvsieve_plan>?) {
        var tensor = kvsieve_tensor()
        (tensor.data, tensor.heads, tensor.tokens, tensor.dim) = (memory + 1, 2, 2, 4)
        (tensor.token_stride, tensor.head_stride) = (16, 32)
        for dtype in [Int32(0), 6, 77] {
            tensor.dtype = dtype
            _ = kvsieve_plan_gather(plan, 0, &tensor, &tensor)
        }
        (tensor.data, tensor.dtype, tensor.head_stride) = (memory, 0, 1)
        _ = kvsieve_plan_gather(plan, 0, &tensor, &tensor)
        var (queries, other) = (tensor, tensor)
        (queries.head_stride, other.head_stride) = (32, 32)
        (other.heads, other.data) = (1, memory + 16)
        _ = kvsieve_plan_observe(plan, 0, &queries, &other, &other)
        _ = kvsieve_plan_finish(plan)
        queries.heads = 1
        _ = kvsieve_plan_gather(plan, 0, &other, &queries)
        _ = kvsieve_plan_gather(plan, 0, &queries, &other)
        _ = kvsieve_plan_reset(plan)
    }
}
