# Sorts stones by weight, and gives each a number.
class Stones
  def initialize(weights)
    @weights = weights.sort
  end

  def each_with_number
    @weights.each.with_index(1) { |weight, number| yield number, weight }
  end
end
