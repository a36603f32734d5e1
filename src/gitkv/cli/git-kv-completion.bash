# Completion of `git kv …` for bash: source this file after git's own completion, which calls _git_kv for us; or install it as
# `git kv completion bash --install` does. What can stand where is the program's to say: it is asked, without the network.

# A key may hold anything but control characters, so each candidate is quoted as the word on the line is: what others wrote is
# never run. The program leaves out keys that would be read as options, and those that turn the reading direction of the terminal.

# Sets `typed` to what the shell would make of the word `cur`, `quote` to the quote that is open in it, and `breaks` to the
# number of characters in it at which readline begins a word of its own; `kept` to the last of them if it is part of that word. Fails for a word that is quoted in another way.
_git_kv_unquote ()
{
	local rest="$cur" char
	typed="" quote="" breaks=0 kept=""
	case "$rest" in
	[\'\"]*) quote="${rest:0:1}" rest="${rest:1}" ;;
	esac
	while [ -n "$rest" ]; do
		char="${rest:0:1}" rest="${rest:1}"
		case "$quote$char" in
		\\) char="${rest:0:1}" rest="${rest:1}" ;;
		\"\\) case "$rest" in [\$\`\"\\]*) char="${rest:0:1}" rest="${rest:1}" ;; esac ;;
		[\'\"\$\`] | \'\' | \"[\"\$\`]) return 1 ;;
		[:=@]) [[ "$COMP_WORDBREAKS" == *"$char"* ]] && breaks=$((breaks + 1)) kept="${char#[:=]}" ;;
		esac
		typed+="$char"
	done
}

# Sets `word` to `key` as it has to stand on the line. Fails where it cannot stand there.
_git_kv_quote ()
{
	local special rest="$key" last=""
	if [ -z "$quote" ]; then
		printf -v word %q "$key"
		[[ "$word" != *\$\'* ]]
		return
	fi
	# readline closes the quote, unless the last character is one: a quote at the end goes outside.
	[ "${key: -1}" != "$quote" ] || rest="${key%?}" last="$quote\\$quote"
	case "$quote" in
	\') word="${rest//\'/\'\\\'\'}$last" ;;
	\")
		word="${rest//\\/\\\\}"
		for special in \" \$ \`; do word="${word//"$special"/\\$special}"; done
		word+="$last"
		[[ "$word" != *!* ]]
		;;
	esac
}

_git_kv ()
{
	local cur words cword start=1 typed quote breaks kept key word at line
	_get_comp_words_by_ref -n "=:@" cur words cword
	if [ "${words[0]##*/}" = git ]; then
		while [ "$start" -lt "$cword" ] && [ "${words[start]}" != kv ]; do start=$((start + 1)); done
		start=$((start + 1))
	fi
	_git_kv_unquote || return
	local before=("${words[@]:start:cword-start}")
	while IFS= read -r line; do
		case "$line" in
		$'\tfiles') compopt -o filenames +o nospace; mapfile -t COMPREPLY < <(compgen -f -- "$typed"); return ;;
		$'\tdirectories') compopt -o filenames +o nospace; mapfile -t COMPREPLY < <(compgen -d -- "$typed"); return ;;
		esac
		key="${line%%$'\t'*}"
		_git_kv_quote || continue
		# readline keeps what stands before its own word.
		for ((at = 0; at < breaks; at++)); do word="${word#*[:=@]}"; done
		word="$kept$word"
		case "$quote$key" in
		--*=) ;;
		[\'\"]*) ;;
		*) word+=" " ;;
		esac
		COMPREPLY+=("$word")
	done < <(git kv completion words -- "${before[@]/#/=}" "=$typed" 2>/dev/null)
}

if declare -f __git_complete >/dev/null; then
	__git_complete git-kv _git_kv
fi
