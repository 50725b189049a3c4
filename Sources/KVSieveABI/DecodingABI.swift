// Header section Decoding.
import CKVSieve
import KVSieveCore

/// New tokens of one layer, after finish(); each layer once, in order from 0, all with the same m tokens (1 unless several come
/// at once, at most as many as the recent tokens that never leave). The layer's keys and values have n rows a head: the slots
/// that live, and behind them the new tokens in the order of their positions.
/// Several tokens are taken one after another, as if each had come alone: whoever left for an earlier one is not looked at by
/// a later one.
/// A round that a layer refuses for good (NaN) ends with reset(): layers before it have taken the tokens.
/// Cost: the product of the new queries and n keys, half of what attention does; kvsieve_plan_step_logits() saves it.
///
/// Section: Decoding 1
/// - Parameters:
///   - plan: finished, with KVSIEVE_DECODING 1, of a method whose kvsieve_method_info.decodes is 1
///   - layer: the next one; its sentence says which if it is not
///   - queries: (Hq, m, D): of the new tokens, rotary embedding applied
///   - keys: (H, n, D), rotary embedding applied; n is the living slots (kvsieve_slots.length) and m
///   - values: (H, n, Dv); KVSIEVE_AHAKV reads the new rows, KVSIEVE_H2O none: then it may be NULL
///   - evict: out: H * m: new token i of head h moves from row n - m + i to slot evict[h * m + i] and whoever is there leaves;
///     -1: it stays where it is. Moves are made in the order of i. Afterwards rows from kvsieve_slots.length on are free.
///     The plan's own books are as if they had been made
/// - Returns: KVSIEVE_OK; KVSIEVE_ERR_NULL; KVSIEVE_ERR_STATE before finish(), out of turn, without KVSIEVE_DECODING, or for a
///   method that only appends; KVSIEVE_ERR_SHAPE, KVSIEVE_ERR_LAYOUT, KVSIEVE_ERR_DTYPE; KVSIEVE_ERR_NONFINITE;
///   KVSIEVE_ERR_MEMORY
@_cdecl("kvsieve_plan_step")
public func kvsieve_plan_step(
    _ plan: UnsafeMutablePointer<kvsieve_plan>?, _ layer: Int32, _ queries: UnsafePointer<kvsieve_tensor>?,
    _ keys: UnsafePointer<kvsieve_tensor>?, _ values: UnsafePointer<kvsieve_tensor>?,
    _ evict: UnsafeMutablePointer<Int32>?
) -> kvsieve_status {
    boundary { () throws(KVSieveError) in
        let plan = try borrow(plan)
        try plan.step(layer: Int(layer), evict: required(evict, "evict")) { (needs, living) throws(KVSieveError) in
            if needs == .length {
                return try StepInput(
                    plan.shape, layer: Int(layer), keys: decodeShapeRequired(keys, "keys"), living: living)
            }
            return try StepInput(
                plan.shape, layer: Int(layer), queries: decodeRequired(queries, "queries"),
                keys: decodeRequired(keys, "keys"),
                values: needs.contains(.values) ? decodeRequired(values, "values") : nil)
        }
    }
}

/// kvsieve_plan_step() for an engine that has the new tokens' logits, and need not have them computed again.
///
/// Section: Decoding 2
/// - Parameters:
///   - plan: as in kvsieve_plan_step()
///   - layer: as in kvsieve_plan_step()
///   - logits: (Hq, m, n), n in the place of dim (so at most 65,536): scale * q . k of each new token and row, before the
///     softmax, finite up to the token's own row; what lies behind it (later tokens) is not looked at
///   - values: as in kvsieve_plan_step()
///   - evict: as in kvsieve_plan_step()
/// - Returns: as kvsieve_plan_step()
@_cdecl("kvsieve_plan_step_logits")
public func kvsieve_plan_step_logits(
    _ plan: UnsafeMutablePointer<kvsieve_plan>?, _ layer: Int32, _ logits: UnsafePointer<kvsieve_tensor>?,
    _ values: UnsafePointer<kvsieve_tensor>?, _ evict: UnsafeMutablePointer<Int32>?
) -> kvsieve_status {
    boundary { () throws(KVSieveError) in
        let plan = try borrow(plan)
        try plan.step(layer: Int(layer), evict: required(evict, "evict")) { (needs, living) throws(KVSieveError) in
            if needs == .length {
                return try StepInput(
                    plan.shape, layer: Int(layer), logits: decodeShapeRequired(logits, "logits"),
                    rows: Int(logits?.pointee.dim ?? 0))
            }
            return try StepInput(
                plan.shape, layer: Int(layer), logits: decodeRequired(logits, "logits"),
                values: needs.contains(.values) ? decodeRequired(values, "values") : nil)
        }
    }
}

/// Takes the newest tokens back, exactly, as if they had never come: a rejected draft. At most those of the last step.
/// Rows that a move has overwritten are the caller's to keep: step, decide, trim, then make the moves of the tokens that stay.
///
/// Section: Decoding 3
/// - Parameters:
///   - plan: stepped in every layer
///   - tokens: 0 ... m of the last step, less those that were trimmed already
/// - Returns: KVSIEVE_OK; KVSIEVE_ERR_NULL; KVSIEVE_ERR_SHAPE for more than that; KVSIEVE_ERR_STATE between layers, and as
///   kvsieve_plan_step()
@_cdecl("kvsieve_plan_trim")
public func kvsieve_plan_trim(_ plan: UnsafeMutablePointer<kvsieve_plan>?, _ tokens: Int64) -> kvsieve_status {
    boundary { () throws(KVSieveError) in try borrow(plan).trim(Int(tokens)) }
}

/// What stands in each slot of a head now: an engine can check itself. For any finished plan; one that is not decoded tells
/// what its rows are after gather().
///
/// Section: Decoding 4
/// - Parameters:
///   - plan: finished
///   - layer: 0 ... layers - 1
///   - head: key/value head, 0 ... H - 1
///   - slots: struct_size set by the caller; filled on success only. Its pointer is the plan's, valid until the next step,
///     trim, extend, reset or destroy
/// - Returns: KVSIEVE_OK; KVSIEVE_ERR_NULL; KVSIEVE_ERR_SHAPE for a layer or head out of range; KVSIEVE_ERR_STATE before
///   finish(); KVSIEVE_ERR_PARAMETER for a struct_size below the first published one
@_cdecl("kvsieve_plan_slots")
public func kvsieve_plan_slots(
    _ plan: UnsafePointer<kvsieve_plan>?, _ layer: Int32, _ head: Int32, _ slots: UnsafeMutablePointer<kvsieve_slots>?
) -> kvsieve_status {
    boundary { () throws(KVSieveError) in
        let plan = try borrow(plan)
        try fill(slots, "slots", smallest: MemoryLayout<kvsieve_slots>.size) { (size) throws(KVSieveError) in
            let (positions, tokens) = try plan.slots(layer: Int(layer), head: Int(head))
            return kvsieve_slots(
                struct_size: size, reserved: 0, length: Int64(positions.count), tokens: Int64(tokens),
                positions: positions.baseAddress)
        }
    }
}
