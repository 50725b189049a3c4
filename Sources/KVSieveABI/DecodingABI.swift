// Header section Decoding. What each function promises: kvsieve.h.in.
import CKVSieve
import KVSieveCore

@_cdecl("kvsieve_plan_step")
public func kvsieve_plan_step(
    _ plan: UnsafeMutablePointer<kvsieve_plan>?, _ layer: Int32, _ queries: UnsafePointer<kvsieve_tensor>?,
    _ keys: UnsafePointer<kvsieve_tensor>?, _ values: UnsafePointer<kvsieve_tensor>?,
    _ slot: UnsafeMutablePointer<Int32>?
) -> kvsieve_status {
    boundary(plan) { (plan) throws(KVSieveError) in
        try plan.step(layer: Int(layer), slot: required(slot, "slot")) { (needs, living) throws(KVSieveError) in
            if needs == .length {
                return try StepInput(
                    plan.shape, layer: Int(layer), keys: decodeShapeRequired(keys, "keys"), living: living,
                    queries: decodeShape(queries, "queries"))
            }
            return try StepInput(
                plan.shape, layer: Int(layer), queries: decodeRequired(queries, "queries"),
                keys: decodeRequired(keys, "keys"),
                values: needs.contains(.values) ? decodeRequired(values, "values") : nil)
        }
    }
}

@_cdecl("kvsieve_plan_step_logits")
public func kvsieve_plan_step_logits(
    _ plan: UnsafeMutablePointer<kvsieve_plan>?, _ layer: Int32, _ logits: UnsafePointer<kvsieve_tensor>?,
    _ values: UnsafePointer<kvsieve_tensor>?, _ slot: UnsafeMutablePointer<Int32>?
) -> kvsieve_status {
    boundary(plan) { (plan) throws(KVSieveError) in
        try plan.step(layer: Int(layer), slot: required(slot, "slot")) { (needs, living) throws(KVSieveError) in
            if needs == .length {
                return try StepInput(
                    plan.shape, layer: Int(layer), logits: decodeShapeRequired(logits, "logits"),
                    rows: Int(logits?.pointee.dim ?? 0))
            }
            return try StepInput(
                plan.shape, layer: Int(layer),
                logits: decodeRequired(logits, "logits", mostDim: GivenAttention.mostColumns),
                values: needs.contains(.values) ? decodeRequired(values, "values") : nil)
        }
    }
}

@_cdecl("kvsieve_plan_trim")
public func kvsieve_plan_trim(_ plan: UnsafeMutablePointer<kvsieve_plan>?, _ tokens: Int64) -> kvsieve_status {
    boundary(plan) { (plan) throws(KVSieveError) in try plan.trim(Int(tokens)) }
}

@_cdecl("kvsieve_plan_slots")
public func kvsieve_plan_slots(
    _ plan: UnsafePointer<kvsieve_plan>?, _ layer: Int32, _ head: Int32, _ slots: UnsafeMutablePointer<kvsieve_slots>?
) -> kvsieve_status {
    boundary(plan) { (plan) throws(KVSieveError) in
        try fill(slots, "slots", smallest: MemoryLayout<kvsieve_slots>.size) { (size) throws(KVSieveError) in
            let (positions, tokens) = try plan.slots(layer: Int(layer), head: Int(head))
            return kvsieve_slots(
                struct_size: size, reserved: 0, length: Int64(positions.count), tokens: Int64(tokens),
                positions: positions.baseAddress)
        }
    }
}
