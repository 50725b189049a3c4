// C structs to views. What a struct says of itself is checked here; what it must be for a layer, in LayerView and Gather.
import CKVSieve
import CSupport
import KVSieveCore

func decode(_ model: UnsafePointer<kvsieve_model>?) throws(KVSieveError) -> ModelShape {
    let model = try required(model, "model").pointee
    guard model.reserved.0 == 0, model.reserved.1 == 0, model.reserved.2 == 0 else {
        throw KVSieveError(.layout, "model.reserved is not 0")
    }
    return try ModelShape(
        layers: Int(model.layers), queryHeads: Int(model.query_heads), heads: Int(model.kv_heads),
        headDim: Int(model.head_dim), scale: model.scale)
}

/// nil for NULL: the caller knows whether that is allowed.
/// - Parameters:
///   - mostDim: the longest row.
///   - moved: its rows are not read as numbers.
func decode(
    _ tensor: UnsafePointer<kvsieve_tensor>?, _ name: StaticString, mostDim: Int = ModelShape.mostDim,
    moved: Bool = false
) throws(KVSieveError) -> TensorView? {
    guard let tensor = tensor?.pointee else { return nil }
    try checkReserved(tensor, name)
    guard let base = tensor.data else { throw KVSieveError(.null, "\(name).data is NULL") }
    guard let type = ElementType(rawValue: tensor.dtype) else {
        let names = ElementType.allCases.map { "\($0.rawValue) (\($0.name))" }.joined(separator: ", ")
        throw KVSieveError(.dtype, "\(name).dtype is \(tensor.dtype); expected one of \(names)")
    }
    guard moved || type != .bytes else {
        throw KVSieveError(
            .dtype, "\(name).dtype is \(tensor.dtype) (BYTES), which only kvsieve_plan_gather takes; expected numbers")
    }
    return try TensorView(
        name, base: base, heads: Int(tensor.heads), tokens: Int(tensor.tokens), dim: Int(tensor.dim),
        headStride: Int(tensor.head_stride), tokenStride: Int(tensor.token_stride), type: type,
        mostDim: mostDim, pages: decodePages(tensor, name))
}

/// nil if there is no table.
private func decodePages(_ tensor: kvsieve_tensor, _ name: StaticString) throws(KVSieveError) -> PagedTokens? {
    if let entries = tensor.blocks {
        return PagedTokens(
            entries: entries, stride: Int(tensor.block_stride), tokens: Int(tensor.block_tokens),
            blocks: Int(tensor.block_count))
    }
    try checkNone("block_stride", tensor.block_stride, name)
    try checkNone("block_tokens", Int64(tensor.block_tokens), name)
    try checkNone("block_count", Int64(tensor.block_count), name)
    return nil
}

private func checkNone(_ field: StaticString, _ value: Int64, _ name: StaticString) throws(KVSieveError) {
    guard value == 0 else {
        throw KVSieveError(.layout, "\(name).\(field) is \(value), but \(name).blocks is NULL; expected 0")
    }
}

private func checkReserved(_ tensor: kvsieve_tensor, _ name: StaticString) throws(KVSieveError) {
    guard tensor.reserved.0 == 0, tensor.reserved.1 == 0 else {
        throw KVSieveError(.layout, "\(name).reserved is not 0")
    }
}

func decodeRequired(
    _ tensor: UnsafePointer<kvsieve_tensor>?, _ name: StaticString, mostDim: Int = ModelShape.mostDim,
    moved: Bool = false
) throws(KVSieveError) -> TensorView {
    guard let view = try decode(tensor, name, mostDim: mostDim, moved: moved) else {
        throw KVSieveError(.null, "\(name) is NULL")
    }
    return view
}

/// How large a tensor is that is not read; its data may be NULL, its strides and its table anything.
func decodeShape(
    _ tensor: UnsafePointer<kvsieve_tensor>?, _ name: StaticString
) throws(KVSieveError) -> TensorShape? {
    guard let tensor = tensor?.pointee else { return nil }
    try checkReserved(tensor, name)
    return try TensorShape(name, heads: Int(tensor.heads), tokens: Int(tensor.tokens))
}

func decodeShapeRequired(
    _ tensor: UnsafePointer<kvsieve_tensor>?, _ name: StaticString
) throws(KVSieveError) -> TensorShape {
    guard let shape = try decodeShape(tensor, name) else { throw KVSieveError(.null, "\(name) is NULL") }
    return shape
}

/// Attention that an engine gave, and what is read beside it.
func decode(
    _ kind: Int32, _ attention: UnsafePointer<kvsieve_tensor>?, _ values: UnsafePointer<kvsieve_tensor>?,
    _ shape: ModelShape, layer: Int32, _ needs: Needs
) throws(KVSieveError) -> LayerTensors {
    guard let kind = GivenAttention.Kind(rawValue: kind) else {
        throw KVSieveError(
            .parameter, "kind is \(kind); expected 0 (logits), 1 (probabilities) or 2 (column sums)")
    }
    if needs.contains(.length) {
        guard let dim = attention?.pointee.dim else { return LayerTensors() }
        return try LayerTensors(shape: TensorShape("attention", heads: shape.heads, tokens: Int(dim)))
    }
    guard needs.contains(.queries) || !needs.contains(.keys) else {
        throw KVSieveError(
            .null, "layer \(layer) reads keys and no attention (kvsieve_plan_needs): pass it to kvsieve_plan_observe")
    }
    guard needs.contains(.queries) else { return LayerTensors() }
    return try LayerTensors(
        attention: GivenAttention(kind, decodeRequired(attention, "attention", mostDim: GivenAttention.mostColumns)),
        values: needs.contains(.values) ? decode(values, "values") : nil)
}

/// - Parameter dim: of the rows that are rotated.
func decode(_ rope: UnsafePointer<kvsieve_rope>?, dim: Int) throws(KVSieveError) -> Rope {
    let rope = try read(rope, "rope")
    guard let pairing = Rope.Pairing(rawValue: rope.pairing) else {
        throw KVSieveError(.parameter, "rope.pairing is \(rope.pairing); expected 0 (HALVES) or 1 (NEIGHBOURS)")
    }
    guard let positions = Rope.Positions(rawValue: rope.by_row) else {
        throw KVSieveError(
            .parameter, "rope.by_row is \(rope.by_row); expected 0 (absolute positions) or 1 (rows of the cache)")
    }
    guard rope.reserved == 0 else { throw KVSieveError(.layout, "rope.reserved is not 0") }
    return try Rope(
        pairing: pairing, positions: positions, first: Int(rope.first), dims: Int(rope.dims), of: dim,
        frequencies: required(rope.frequencies, "rope.frequencies"))
}

/// - Parameters:
///   - shape: the part of the model that the plan has.
///   - plan: whose finish() calls all_gather, in the mode of its host.
func decode(
    _ group: UnsafePointer<kvsieve_group>?, of shape: ModelShape, _ plan: UnsafeMutablePointer<kvsieve_plan>?
) throws(KVSieveError) -> RankGroup {
    let group = try read(group, "group")
    guard let allGather = group.all_gather else { throw KVSieveError(.null, "group.all_gather is NULL") }
    guard group.reserved == 0 else { throw KVSieveError(.layout, "group.reserved is not 0") }
    let context = group.context
    return try RankGroup(
        rank: Int(group.rank), ranks: Int(group.ranks), firstLayer: Int(group.first_layer), layers: Int(group.layers),
        firstHead: Int(group.first_head), heads: Int(group.heads), of: shape, version: Int(kvsieve_version())
    ) {
        let own = support_exchange_mode(plan?.pointee.host_mode ?? support_default_mode())
        defer { _ = support_exchange_mode(own) }
        return allGather(context, $0, Int64($1), $2)
    }
}
