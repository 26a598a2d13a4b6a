/// What computing needs of a model: its configuration, its weights and the kernels to run them.
package struct ModelWeights: Sendable {
  package let config: DecoderConfig
  package let weights: DecoderWeights
  package let operations: Operations

  /// Finds the weights of a file.
  ///
  /// - Throws: `ModelError`, naming the field or tensor at fault.
  package init(file: GGUFFile, operations: Operations) throws(ModelError) {
    config = try DecoderConfig(file: file)
    self.operations = operations
    do {
      weights = try DecoderWeights(file: file, config: config, operations: operations)
    } catch {
      throw .file(error)
    }
  }

  /// A cache for this model. Heads whose size is no multiple of 32 cannot be stored in blocks: they
  /// are stored in half precision instead.
  package func cacheLayout(_ type: CacheType) -> CacheLayout {
    let type = type == .q8_0 && config.headSize % 32 != 0 ? CacheType.f16 : type
    return CacheLayout(
      layers: config.layerCount, heads: config.keyValueHeadCount, headSize: config.headSize, type: type)
  }
}
