// SPDX-License-Identifier: BSD-2-Clause
//
// Owns a library in C++ that throws: through frames with destructors, through a callback into what
// called it, and out of a sort. The time is the run-time library's, which unwinds the stack while it
// is looked at itself.
#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

namespace
{

struct Cleaned {
	explicit Cleaned(long depth) : text(static_cast<size_t>(depth) + 20, 'a')
	{
	}
	virtual ~Cleaned()
	{
		count += static_cast<long>(text.size());
	}
	std::string text;
	static long count;
};

long Cleaned::count;

[[gnu::noinline]] long descend(long depth, long (*callback)(long))
{
	Cleaned object(depth);

	if (!depth)
		throw std::runtime_error(std::to_string(callback(depth + 100)));
	return descend(depth - 1, callback) + 1;
}

[[gnu::noinline]] void throw_from_sort(long size)
{
	std::vector<std::string> words;

	for (long i = 0; i < size; i++)
		words.push_back(std::to_string(i * 7919 % 1000));
	std::sort(words.begin(), words.end(), [](const std::string &a, const std::string &b) {
		if (a == "42")
			throw std::logic_error("found");
		return a < b;
	});
}

// Catches, and throws on what is not its own.
[[gnu::noinline]] long middle(long depth, long (*callback)(long))
{
	try {
		return descend(depth, callback);
	} catch (const std::logic_error &) {
		return 0;
	}
}

} // namespace

extern "C" long throw_and_catch(long times, long (*callback)(long))
{
	long caught = 0;

	for (long i = 0; i < times; i++) {
		try {
			middle(i % 12, callback);
		} catch (const std::exception &) {
			caught++;
		}
		try {
			throw_from_sort(100);
		} catch (const std::exception &) {
			caught++;
		}
	}
	return caught + Cleaned::count;
}
