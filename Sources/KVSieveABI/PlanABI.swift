// Header section Plan.
import CKVSieve
import KVSieveCore
import KVSieveMethods

/// Makes a plan with the method's default parameters.
///
/// Section: Plan 1
/// - Parameters:
///   - method: KVSIEVE_AHAKV, ...; KVSIEVE_ERR_METHOD if there is none such
///   - model: copied
///   - out: set on success only; free it with kvsieve_plan_destroy()
/// - Returns: KVSIEVE_OK; KVSIEVE_ERR_NULL; KVSIEVE_ERR_METHOD; KVSIEVE_ERR_SHAPE for sizes out of bounds or query_heads
///   that are no multiple of kv_heads; KVSIEVE_ERR_PARAMETER for a scale that is negative or not finite;
///   KVSIEVE_ERR_LAYOUT for reserved fields that are not 0; KVSIEVE_ERR_MEMORY
@_cdecl("kvsieve_plan_create")
public func kvsieve_plan_create(
    _ method: Int32, _ model: UnsafePointer<kvsieve_model>?,
    _ out: UnsafeMutablePointer<UnsafeMutablePointer<kvsieve_plan>?>?
) -> kvsieve_status {
    boundary { () throws(KVSieveError) in
        let out = try required(out, "out")
        let type = try Registry.method(method)
        let shape = try decode(model)
        out.pointee = try open(Plan(type, shape, Shared.plan))
    }
}

/// Sets one parameter; before the first observe of a sequence.
///
/// Section: Plan 2
/// - Parameters:
///   - plan: from kvsieve_plan_create()
///   - parameter: KVSIEVE_BUDGET, ...; one that this plan's method has
///   - value: within the parameter's bounds, and a whole (odd) number where it is one; kvsieve_parameter_at() tells them
/// - Returns: KVSIEVE_OK; KVSIEVE_ERR_NULL; KVSIEVE_ERR_STATE after the first observe;
///   KVSIEVE_ERR_PARAMETER if this method has no such parameter or the value is out of its bounds
@_cdecl("kvsieve_plan_set")
public func kvsieve_plan_set(
    _ plan: UnsafeMutablePointer<kvsieve_plan>?, _ parameter: Int32, _ value: Double
) -> kvsieve_status {
    boundary { () throws(KVSieveError) in try borrow(plan).set(parameter, value) }
}

/// Reads one parameter, set or default.
///
/// Section: Plan 3
/// - Parameters:
///   - plan: from kvsieve_plan_create()
///   - parameter: one that this plan's method has
///   - value: set on success only
/// - Returns: KVSIEVE_OK; KVSIEVE_ERR_NULL; KVSIEVE_ERR_PARAMETER if this method has no such parameter
@_cdecl("kvsieve_plan_get")
public func kvsieve_plan_get(
    _ plan: UnsafePointer<kvsieve_plan>?, _ parameter: Int32, _ value: UnsafeMutablePointer<Double>?
) -> kvsieve_status {
    boundary { () throws(KVSieveError) in
        let plan = try borrow(plan)
        try required(value, "value").pointee = try plan.get(parameter)
    }
}

/// Which tensors observe() will read in a layer. Those that are not needed may be NULL and are not looked at.
///
/// Section: Plan 4
/// - Parameters:
///   - plan: from kvsieve_plan_create(), with its parameters set
///   - layer: 0 ... layers - 1
///   - needs: out: a sum of KVSIEVE_NEEDS_*; 0 for a layer that takes over another's choice; KVSIEVE_NEEDS_LENGTH alone
///     for a method that reads no tensor: of `keys` only the shape is looked at, and their data may be NULL
/// - Returns: KVSIEVE_OK; KVSIEVE_ERR_NULL; KVSIEVE_ERR_SHAPE for a layer out of range; KVSIEVE_ERR_PARAMETER for
///   parameters that contradict each other (KVSIEVE_WINDOWKV_SHARED above KVSIEVE_WINDOWKV_PYRAMID)
@_cdecl("kvsieve_plan_needs")
public func kvsieve_plan_needs(
    _ plan: UnsafePointer<kvsieve_plan>?, _ layer: Int32, _ needs: UnsafeMutablePointer<Int32>?
) -> kvsieve_status {
    boundary { () throws(KVSieveError) in
        let plan = try borrow(plan)
        try required(needs, "needs").pointee = try plan.needs(layer: Int(layer)).rawValue
    }
}

/// Looks at one layer; each layer once, in order from 0. Dtypes may differ from tensor to tensor.
/// Cost: one product of (G*W, D) by (D, T) a key/value head, and a softmax over T. Memory beside what the caller owns: the
/// positions kept; a workspace used again for the next layer and the next sequence, at most 25 MiB of logits and some rows of
/// T floats; the scores of the layer (H rows of T floats), for KVSIEVE_DYNAMICKV those of all layers until finish().
/// Without AVX2, 129 MiB of addresses a thread beside it, of which BLAS makes less than 1 MiB memory. The first layer of a size
/// allocates; further layers and sequences of that size do not. With KVSIEVE_DECODING 1 each layer of the first sequence
/// allocates what it remembers.
///
/// Section: Plan 5
/// - Parameters:
///   - plan: from kvsieve_plan_create()
///   - layer: the next one; its sentence says which if it is not
///   - queries: (Hq, R, D), min(W, T) <= R <= T: the last R queries, rotary embedding applied, of which the last min(W, T)
///     are read; R is T where kvsieve_plan_needs() has KVSIEVE_NEEDS_ALL_QUERIES. (After kvsieve_plan_extend() shapes are
///     others: see there.)
///   - keys: (H, T, D): all keys, rotary embedding applied; T is the same in every layer
///   - values: (H, T, Dv)
/// - Returns: KVSIEVE_OK; KVSIEVE_ERR_NULL for a tensor that the layer needs (or its data); KVSIEVE_ERR_SHAPE,
///   KVSIEVE_ERR_LAYOUT, KVSIEVE_ERR_DTYPE; KVSIEVE_ERR_STATE out of order, twice, or after finish() without extend();
///   KVSIEVE_ERR_BUDGET for a budget that cannot hold what the method must keep, with the smallest that would do;
///   KVSIEVE_ERR_PARAMETER as in kvsieve_plan_needs(); KVSIEVE_ERR_NONFINITE for NaN or infinity in what is read, and for
///   numbers so large that a logit, or KVSIEVE_AHAKV's squared norm of a value row, overflows float32; KVSIEVE_ERR_MEMORY
@_cdecl("kvsieve_plan_observe")
public func kvsieve_plan_observe(
    _ plan: UnsafeMutablePointer<kvsieve_plan>?, _ layer: Int32, _ queries: UnsafePointer<kvsieve_tensor>?,
    _ keys: UnsafePointer<kvsieve_tensor>?, _ values: UnsafePointer<kvsieve_tensor>?
) -> kvsieve_status {
    boundary { () throws(KVSieveError) in
        try borrow(plan).observe(layer: Int(layer)) { (needs) throws(KVSieveError) in
            try LayerTensors(
                queries: needs.contains(.queries) ? decode(queries, "queries") : nil,
                keys: needs.contains(.keys) ? decode(keys, "keys") : nil,
                values: needs.contains(.values) ? decode(values, "values") : nil,
                shape: needs.contains(.length) ? decodeShape(keys, "keys") : nil)
        }
    }
}

/// Makes the selection final, after every layer was observed.
///
/// Section: Plan 6
/// - Parameter plan: from kvsieve_plan_create()
/// - Returns: KVSIEVE_OK; KVSIEVE_ERR_NULL; KVSIEVE_ERR_STATE unless every layer was observed, or when called twice;
///   KVSIEVE_ERR_MEMORY
@_cdecl("kvsieve_plan_finish")
public func kvsieve_plan_finish(_ plan: UnsafeMutablePointer<kvsieve_plan>?) -> kvsieve_status {
    boundary { () throws(KVSieveError) in try borrow(plan).finish() }
}

/// The sequence goes on, after finish() and the gathers: a follow-up question, an answer that was generated. `tokens` new
/// tokens stand behind the rows that each head kept; then every layer is observed again, in order, and finish() brings the
/// caches back to the budget. Parameters stay as they were set. As often as wanted.
///
/// What observe() is given then: keys and values (H, n, D), n the longest head's rows, kvsieve_kept.longest + `tokens`. Head
/// h's own come first: those it kept, ascending, then its new ones; rows behind them are not looked at. Queries
/// (Hq, R, D), min(W, tokens) <= R <= tokens: the last of the new tokens, rotated by their true positions, which go on from
/// kvsieve_kept.tokens. gather() takes sources of that shape. kvsieve_kept tells positions as ever, and in `rows` where in the
/// cache they stood.
///
/// What is scored is the cache as it is: pooling, windows of tokens and protected tokens count its rows; KVSIEVE_RATIO and
/// KVSIEVE_AHAKV's gain count all tokens seen. What left stays away. (A share of the tokens seen that cannot hold
/// KVSIEVE_TASKKV's first and last tokens, an error of a prompt, keeps these here.)
///
/// Section: Plan 7
/// - Parameters:
///   - plan: finished. One with KVSIEVE_DECODING 1 takes new tokens by kvsieve_plan_step() instead
///   - tokens: 1 or more; a head has at most 2^24 rows, and fewer than 2^31 tokens are seen
/// - Returns: KVSIEVE_OK; KVSIEVE_ERR_NULL; KVSIEVE_ERR_STATE before finish(), and for a plan that decodes;
///   KVSIEVE_ERR_SHAPE for tokens out of bounds
@_cdecl("kvsieve_plan_extend")
public func kvsieve_plan_extend(_ plan: UnsafeMutablePointer<kvsieve_plan>?, _ tokens: Int64) -> kvsieve_status {
    boundary { () throws(KVSieveError) in try borrow(plan).extend(Int(tokens)) }
}

/// Forgets the sequence, keeps parameters and memory: ready for the next one, whatever state the plan is in.
///
/// Section: Plan 8
/// - Parameter plan: from kvsieve_plan_create()
/// - Returns: KVSIEVE_OK; KVSIEVE_ERR_NULL
@_cdecl("kvsieve_plan_reset")
public func kvsieve_plan_reset(_ plan: UnsafeMutablePointer<kvsieve_plan>?) -> kvsieve_status {
    boundary { () throws(KVSieveError) in try borrow(plan).reset() }
}

/// Frees the plan and everything it handed out.
///
/// Section: Plan 9
/// - Parameter plan: from kvsieve_plan_create(), not used again; NULL is fine
@_cdecl("kvsieve_plan_destroy")
public func kvsieve_plan_destroy(_ plan: UnsafeMutablePointer<kvsieve_plan>?) { close(plan) }
